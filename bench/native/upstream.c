// A fake OpenAI: answers chat completions far faster than any gateway, so that only the gateway is measured.
//
//   upstream PORT CHUNKS GAP_US
//
// A body with "stream":true gets CHUNKS events, one every GAP_US microseconds, then finish, usage and [DONE].
// Any other request gets a JSON answer of about 1 KB at once. Every content chunk carries "t=<CLOCK_MONOTONIC ns>",
// from which the load generator, on the same machine, computes how long the chunk was on its way.
// One thread, epoll, HTTP/1.1 keep-alive, request bodies with Content-Length.
#include "common.h"

typedef struct Connection {
    int fd, writing;         // writing: bytes are left over and we wait for EPOLLOUT
    char in[65536], out[65536];
    int in_len, out_len, out_sent;
    int streaming, sent_chunks;
    int64_t due;             // when the next chunk goes out; meaningful while queued
    int queued;
    struct Connection *next, *previous;
} Connection;

static int epoll, chunks;
static int64_t gap;
static char answer[4096];
static int answer_len;

// All streams wait the same gap between chunks, so a queue in order of arrival is also in order of due time.
static Connection *first_due, *last_due;

static void enqueue(Connection *c, int64_t due) {
    c->due = due, c->queued = 1, c->next = NULL, c->previous = last_due;
    if (last_due) last_due->next = c;
    else first_due = c;
    last_due = c;
}

static void dequeue(Connection *c) {
    if (!c->queued) return;
    if (c->previous) c->previous->next = c->next;
    else first_due = c->next;
    if (c->next) c->next->previous = c->previous;
    else last_due = c->previous;
    c->queued = 0;
}

static void hang_up(Connection *c) {
    dequeue(c);
    close(c->fd);
    free(c);
}

// Returns 1 when everything is sent, 0 when the socket is full, -1 when it is broken.
static int flush(Connection *c) {
    while (c->out_sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return -1;
        if (n < 0) {
            if (!c->writing) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
            c->writing = 1;
            return 0;
        }
        c->out_sent += n;
    }
    c->out_len = c->out_sent = 0;
    if (c->writing) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->writing = 0;
    return 1;
}

// Appends one event as one HTTP chunk.
static void put_event(Connection *c, const char *json) {
    c->out_len += sprintf(c->out + c->out_len, "%zx\r\ndata: %s\n\n\r\n", strlen(json) + 8, json);
}

#define CHUNK "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\"," \
              "\"created\":1741570283,\"model\":\"gpt-4o-mini\","

static int stream_next(Connection *c) {
    char json[1024];
    if (c->sent_chunks < chunks) {
        const char *role = c->sent_chunks++ ? "" : "\"role\":\"assistant\",";
        sprintf(json, CHUNK "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"t=%lld \"},\"finish_reason\":null}]}",
                role, (long long)now_ns());
        put_event(c, json);
        return flush(c);
    }
    put_event(c, CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    sprintf(json, CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":29,\"completion_tokens\":%d,\"total_tokens\":%d}}",
            chunks, chunks + 29);
    put_event(c, json);
    put_event(c, "[DONE]");
    c->out_len += sprintf(c->out + c->out_len, "0\r\n\r\n");
    c->streaming = 0;
    return flush(c);
}

// Opens a stream and sends its first chunk at once.
static int stream_start(Connection *c) {
    c->streaming = 1, c->sent_chunks = 0;
    c->out_len += sprintf(c->out + c->out_len,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                          "Cache-Control: no-cache\r\nx-request-id: req_0123456789abcdef\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n");
    int sent = stream_next(c);
    if (sent > 0) enqueue(c, now_ns() + gap);
    return sent;
}

// Serves every whole request that has arrived. Returns -1 when the connection is broken.
static int serve(Connection *c) {
    while (!c->streaming && !c->writing) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end) return c->in_len == sizeof c->in ? -1 : 0;
        char *body = end + 4;
        const char *length = header(c->in, body, "content-length:");
        long body_len = length ? atol(length) : 0, total = body - c->in + body_len;
        if (total > (long)sizeof c->in) return -1;
        if (c->in_len < total) return 0;
        int stream = memmem(body, body_len, "\"stream\":true", 13) || memmem(body, body_len, "\"stream\": true", 14);
        memmove(c->in, c->in + total, c->in_len -= total);
        if (stream) return stream_start(c);
        memcpy(c->out, answer, c->out_len = answer_len);
        if (flush(c) < 0) return -1;
    }
    return 0;
}

static int readable(Connection *c) {
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    c->in_len += n;
    return serve(c);
}

static int writable(Connection *c) {
    int sent = flush(c);
    if (sent < 1) return sent;
    if (!c->streaming) return serve(c);
    if (!c->queued) enqueue(c, now_ns() + gap);
    return 0;
}

static void send_due(void) {
    int64_t now = now_ns();
    while (first_due && first_due->due <= now) {
        Connection *c = first_due;
        dequeue(c);
        int sent = stream_next(c);
        if (sent < 0) hang_up(c);
        else if (sent && c->streaming) enqueue(c, c->due + gap);  // a full socket comes back through writable()
        else if (sent && serve(c) < 0) hang_up(c);
    }
}

static void greet(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        no_delay(fd);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void write_answer(void) {
    const char *words =
        "The gateway sits between the application and the model provider: it recognises the caller, applies limits, "
        "chooses a target, forwards the request and records what it cost. Keeping that path short matters, for every "
        "request pays for it, and a stream pays for it on every chunk. This paragraph brings the body to about one "
        "kilobyte, a usual size for a short answer with the details of its usage attached to it.";
    char body[3072];
    int n = sprintf(body,
                    "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion\",\"created\":1741570283,"
                    "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\","
                    "\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                    "\"usage\":{\"prompt_tokens\":29,\"completion_tokens\":86,\"total_tokens\":115,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},"
                    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fc9f1d7035\"}",
                    words);
    answer_len = sprintf(answer,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                         "x-request-id: req_0123456789abcdef\r\nopenai-processing-ms: 1\r\n\r\n%s",
                         n, body);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = loopback(port);
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) {
        perror("upstream");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: upstream PORT CHUNKS GAP_US\n");
        return 2;
    }
    chunks = atoi(argv[2]), gap = atol(argv[3]) * 1000LL;
    write_answer();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(atoi(argv[1]));
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (struct epoll_event ready[512];;) {
        struct timespec wait = wait_for(first_due ? first_due->due - now_ns() : 0);
        int n = epoll_pwait2(epoll, ready, 512, first_due ? &wait : NULL, NULL);
        for (int i = 0; i < n; i++) {
            Connection *c = ready[i].data.ptr;
            if (!c) greet(listener);
            else if ((ready[i].events & EPOLLOUT) && writable(c) < 0) hang_up(c);
            else if ((ready[i].events & ~EPOLLOUT) && readable(c) < 0) hang_up(c);
        }
        send_due();
    }
}
