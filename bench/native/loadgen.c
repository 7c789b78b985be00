// A load generator for one HTTP/1.1 target: one thread, epoll, keep-alive POSTs, and one JSON object as its report.
//
//   loadgen -p PORT -b BODYFILE [-c CONNECTIONS] [-d SECONDS] [-w WARM_UP] [-r RATE] [-s] [-H 'Name: value']... [-P PID,…]
//
// Without -r the loop is closed: each connection asks again as soon as it is answered. With -r it is open: requests
// are due RATE times a second whatever the target does, and latency counts from when a request was due, not from
// when a connection was free for it, so that a stalled target cannot hide its stall.
// -s reads the answers as Server-Sent Events: time to the first one, and the age of each chunk from its "t=<ns>" stamp.
// -P names the target's processes: their CPU clocks are read at both edges of the measured window.
#include "common.h"
#include <sys/resource.h>

typedef struct { uint32_t *tenths; size_t n, room; } Samples;  // in tenths of a microsecond

typedef enum { IDLE, CONNECTING, SENDING, READING } State;
typedef enum { SIZE_LINE, DATA, DATA_END, TRAILER } ChunkState;

typedef struct {
    int fd, sent, status, in_body, chunked, closing;
    State state;
    int64_t due, not_before;
    long length, got;                                 // of the body; length -1: unknown
    ChunkState chunk;
    long chunk_left;
    char size_line[32], head[8192], line[16384];
    int size_len, head_len, line_len;
    int spoke, done;                                  // SSE: first event seen, [DONE] seen
} Connection;

static int epoll, port, connections = 1, streaming, measuring;
static double rate, warm_up = 1, duration = 5;
static char *request, headers[8192], trouble[400];
static int request_len;
static Connection *all;
static int *idle, idle_n, pids[256], pids_n;
static int64_t started, window_start, window_end, next_due;
static Samples latency, first, transit;
static unsigned long ok, failed, events, cut, opened;

static void note(Samples *s, int64_t ns) {
    if (!measuring) return;
    if (s->n == s->room) s->tenths = realloc(s->tenths, (s->room = s->room ? s->room * 2 : 65536) * sizeof *s->tenths);
    s->tenths[s->n++] = ns < 0 ? 0 : ns / 100 > UINT32_MAX ? UINT32_MAX : ns / 100;
}

static int64_t cpu_ns(void) {
    int64_t sum = 0;
    for (int i = 0; i < pids_n; i++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(pids[i], &clock) && !clock_gettime(clock, &t)) sum += t.tv_sec * SECOND + t.tv_nsec;
    }
    return sum;
}

static int64_t own_cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void hang_up(Connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void finish(Connection *c, int whole) {
    int good = whole && c->status == 200;
    if (!good || c->closing) hang_up(c);
    if (measuring) {
        if (good) ok++;
        else failed++;
        if (good && streaming && !c->done) cut++;
        if (good) note(&latency, now_ns() - c->due);
    }
    if (!good && !trouble[0]) snprintf(trouble, sizeof trouble, "status %d, then the connection closed", c->status);
    c->state = IDLE;
    idle[idle_n++] = c - all;
}

static void ask(Connection *c) {
    c->state = SENDING;
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
        if (n < 0) return finish(c, 0);
        c->sent += n;
    }
    c->state = READING;
}

static void start(Connection *c, int64_t due) {
    c->due = due, c->length = -1, c->got = c->sent = c->status = c->in_body = c->chunked = c->closing = 0;
    c->chunk = SIZE_LINE, c->size_len = c->head_len = c->line_len = c->spoke = c->done = 0;
    if (c->fd >= 0) return ask(c);
    struct sockaddr_in address = loopback(port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    no_delay(c->fd);
    c->state = CONNECTING, opened++;
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLOUT, c);
    if (connect(c->fd, (void *)&address, sizeof address) && errno != EINPROGRESS) finish(c, 0);
}

// Starts what is due now on idle connections.
static void start_due(int64_t now) {
    if (rate > 0) {
        for (; idle_n && next_due <= now && next_due < window_end; next_due += (int64_t)(SECOND / rate))
            start(&all[idle[--idle_n]], next_due);
        return;
    }
    for (int i = idle_n - 1; i >= 0; i--) {
        Connection *c = &all[idle[i]];
        if (c->not_before > now) continue;
        idle[i] = idle[--idle_n];
        start(c, now_ns());
    }
}

static void event_line(Connection *c) {
    if (c->line_len < 5 || memcmp(c->line, "data:", 5)) return;
    int64_t now = now_ns();
    if (memmem(c->line, c->line_len, "[DONE]", 6)) {
        c->done = 1;
        return;
    }
    if (!c->spoke++) note(&first, now - c->due);
    if (measuring) events++;
    char *stamp = memmem(c->line, c->line_len, "\"t=", 3);
    if (stamp) note(&transit, now - strtoll(stamp + 3, NULL, 10));
}

static void body_bytes(Connection *c, const char *bytes, long n) {
    c->got += n;
    if (c->status != 200 && !trouble[0])
        snprintf(trouble, sizeof trouble, "status %d: %.*s", c->status, (int)(n < 300 ? n : 300), bytes);
    while (streaming && n > 0) {
        const char *eol = memchr(bytes, '\n', n);
        long k = eol ? eol - bytes : n;
        if (c->line_len + k < (long)sizeof c->line) {
            memcpy(c->line + c->line_len, bytes, k);
            c->line_len += k, c->line[c->line_len] = 0;
        }
        if (eol) event_line(c), c->line_len = 0, k++;
        bytes += k, n -= k;
    }
}

// Takes raw body bytes; returns 1 when the answer is complete.
static int body(Connection *c, const char *b, long n) {
    if (!c->chunked) {
        body_bytes(c, b, n);
        return c->length >= 0 && c->got >= c->length;
    }
    while (n > 0) {
        long used = 1;
        if (c->chunk == DATA) {
            used = n < c->chunk_left ? n : c->chunk_left;
            body_bytes(c, b, used);
            if (!(c->chunk_left -= used)) c->chunk = DATA_END;
        } else if (c->chunk == DATA_END) {
            if (*b == '\n') c->chunk = SIZE_LINE;
        } else if (*b != '\n') {
            if (*b != '\r' && c->size_len < 31) c->size_line[c->size_len++] = *b;
        } else if (c->chunk == SIZE_LINE) {
            c->size_line[c->size_len] = 0, c->size_len = 0;
            c->chunk_left = strtol(c->size_line, NULL, 16);
            c->chunk = c->chunk_left ? DATA : TRAILER;
        } else {
            if (!c->size_len) return 1;
            c->size_len = 0;
        }
        b += used, n -= used;
    }
    return 0;
}

// Takes bytes of the head; returns how many of them belonged to it, or -1 when it is too long.
static long head(Connection *c, const char *b, long n) {
    long room = sizeof c->head - 1 - c->head_len, taken = n < room ? n : room, before = c->head_len;
    memcpy(c->head + before, b, taken);
    c->head_len += taken, c->head[c->head_len] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return c->head_len == sizeof c->head - 1 ? -1 : n;
    end += 4;
    const char *length = header(c->head, end, "content-length:");
    const char *coding = header(c->head, end, "transfer-encoding:");
    const char *connection = header(c->head, end, "connection:");
    c->in_body = 1, c->status = atoi(c->head + 9);
    c->length = length ? atol(length) : -1;
    c->chunked = coding && !strncasecmp(coding, "chunked", 7);
    c->closing = connection && !strncasecmp(connection, "close", 5);
    return end - c->head - before;
}

static void readable(Connection *c) {
    static char buffer[262144];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (c->state != READING) return n <= 0 ? hang_up(c) : (void)0;  // an idle connection was closed
    if (n <= 0) {
        c->closing = 1;
        return finish(c, n == 0 && c->in_body && !c->chunked && c->length < 0);
    }
    long used = 0;
    if (!c->in_body && (used = head(c, buffer, n)) < 0) return finish(c, 0);
    if (c->in_body && (c->length == 0 || body(c, buffer + used, n - used))) finish(c, 1);
}

static void handle(Connection *c, uint32_t ready) {
    if (c->fd < 0) return;
    if (c->state == CONNECTING && (ready & (EPOLLERR | EPOLLHUP))) return finish(c, 0);
    if ((c->state == CONNECTING || c->state == SENDING) && (ready & EPOLLOUT)) {
        watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        ask(c);
    } else if (ready & ~EPOLLOUT) {
        readable(c);
    }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, Samples *s) {
    if (!s->n) return;
    qsort(s->tenths, s->n, sizeof *s->tenths, ascending);
    printf("\"%s_us\":{\"n\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f},", name, s->n,
           s->tenths[s->n / 2] / 10.0, s->tenths[s->n * 9 / 10] / 10.0, s->tenths[s->n * 99 / 100] / 10.0);
}

static void report(double elapsed, int64_t cpu, int64_t own) {
    print_samples("latency", &latency);
    print_samples("first", &first);
    print_samples("transit", &transit);
    for (char *p = trouble; *p; p++)
        if (*p == '"' || *p == '\\' || *p < ' ' || *p > '~') *p = ' ';
    printf("\"elapsed\":%.3f,\"ok\":%lu,\"failed\":%lu,\"cut\":%lu,\"events\":%lu,\"opened\":%lu,"
           "\"cpu_ns\":%lld,\"own_cpu_ns\":%lld,\"trouble\":\"%s\"}\n",
           elapsed, ok, failed, cut, events, opened, (long long)cpu, (long long)own, trouble);
}

static void run(void) {
    int64_t cpu = 0, own = 0;
    for (struct epoll_event ready[512];;) {
        int64_t now = now_ns();
        if (!measuring && now >= window_start) measuring = 1, window_start = now, cpu = cpu_ns(), own = own_cpu_ns();
        if (now >= window_end) break;
        start_due(now);
        int64_t wake = measuring ? window_end : window_start;
        if (rate > 0 && idle_n && next_due < wake) wake = next_due;
        if (rate <= 0 && idle_n && now + SECOND / 1000 < wake) wake = now + SECOND / 1000;  // staggered starts
        struct timespec wait = wait_for(wake - now_ns());
        int n = epoll_pwait2(epoll, ready, 512, &wait, NULL);
        for (int i = 0; i < n; i++) handle(ready[i].data.ptr, ready[i].events);
    }
    report((double)(now_ns() - window_start) / SECOND, cpu_ns() - cpu, own_cpu_ns() - own);
}

static void read_request(const char *path, const char *body_file) {
    static char body[1 << 20];
    FILE *f = fopen(body_file, "r");
    if (!f) {
        perror(body_file);
        exit(1);
    }
    int n = fread(body, 1, sizeof body, f);
    fclose(f);
    request = malloc(n + sizeof headers + 1024);
    request_len = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: loadgen\r\nAccept: */*\r\n%s"
                          "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, port, headers, n);
    memcpy(request + request_len, body, n);
    request_len += n;
}

int main(int argc, char **argv) {
    const char *path = "/v1/chat/completions", *body_file = "";
    char *list = NULL;
    for (int o; (o = getopt(argc, argv, "p:u:c:d:w:r:sH:b:P:")) != -1;) switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'd': duration = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 's': streaming = 1; break;
        case 'H': strncat(strncat(headers, optarg, 2000), "\r\n", 3); break;
        case 'b': body_file = optarg; break;
        case 'P': list = optarg; break;
        default: return 2;
    }
    for (char *pid = list ? strtok(list, ",") : NULL; pid && pids_n < 256; pid = strtok(NULL, ",")) pids[pids_n++] = atoi(pid);
    read_request(path, body_file);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    all = calloc(connections, sizeof *all), idle = malloc(connections * sizeof *idle);
    started = next_due = now_ns();
    window_start = started + (int64_t)(warm_up * SECOND), window_end = window_start + (int64_t)(duration * SECOND);
    for (int i = 0; i < connections; i++) {  // streams begin spread over the warm-up, or they would march in step
        all[i].fd = -1, idle[idle_n++] = i;
        if (streaming) all[i].not_before = started + (int64_t)(warm_up * SECOND * i / connections);
    }
    putchar('{');
    run();
    return 0;
}
