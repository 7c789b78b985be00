"""The documentation pages in a real browser: they show the operations, try them, and ask no other host."""

import pytest

from headgate import create_app

from . import _browser
from ._served import KEY, configured, served

pytestmark = pytest.mark.skipif(not _browser.there(), reason=f"{_browser.CHROMIUM} is not installed")

FILL = """(() => {
  const field = document.querySelector('%s');
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, '%s');
  field.dispatchEvent(new Event('input', {bubbles: true}));
})()"""
CLICK = "document.querySelector('%s').click()"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    keys_only = configured(tmp_path_factory.mktemp("docs"))
    keys_only.write_text(keys_only.read_text().replace("anonymous = true", "anonymous = false"))
    with served(create_app(keys_only)) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = _browser.Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def strangers(browser, url):
    """Requests to anywhere else; what a page makes itself is no request."""
    return [asked for asked in browser.requested if not asked.startswith((f"{url}/", f"blob:{url}/", "data:"))]


def open_docs(browser, url):
    browser.open(f"{url}/docs")
    browser.until("document.querySelector('#operations-simple-chat')")


def authorize(browser):
    browser.run(CLICK % ".btn.authorize")
    browser.until("document.querySelector('#api_key_value')")
    browser.run(FILL % ("#api_key_value", KEY))
    browser.run("document.querySelectorAll('.auth-container')[1].querySelector('.btn.authorize').click()")
    browser.until("document.querySelector('.auth-container .btn-done')")
    browser.run(CLICK % ".auth-container .btn-done")


def execute(browser, operation):
    """Try an operation; the text of the answer. Swagger UI may put a new button in place of one just clicked."""
    block = f"#operations-{operation}"
    browser.run(CLICK % f"{block} .opblock-summary-control")
    browser.until(
        f"document.querySelector('{block} .btn.execute') && document.querySelector('{block} textarea')?.value"
    )
    answer = f"document.querySelector('{block} .live-responses-table .response')"
    waiting = f"document.querySelector('{block} .loading-container')"
    click = f"document.querySelector('{block} .btn.execute')?.click()"
    browser.until(f"{answer} || {waiting} || void {click}")
    browser.until(answer)
    return browser.run(f"{answer}.innerText")


def test_swagger_ui_shows_every_operation_and_asks_no_other_host(browser, url):
    open_docs(browser, url)
    text = browser.text()
    for said in ("/chat", "/v1/chat/completions", "/v1/messages", "/me", "/admin/keys", "Authorize"):
        assert said in text
    assert browser.requested
    assert strangers(browser, url) == []
    assert browser.complaints == []


def test_a_chat_can_be_sent_from_the_page_with_a_key_and_not_without(browser, url):
    open_docs(browser, url)
    assert "unauthenticated" in execute(browser, "simple-chat")
    authorize(browser)
    browser.run(CLICK % "#operations-simple-chat .btn.execute")
    browser.until("document.body.innerText.includes('You said: What is a headgate?')")
    assert '"provider": "echo"' in browser.text()


def test_a_stream_is_shown_as_text(browser, url):
    open_docs(browser, url)
    authorize(browser)
    answer = execute(browser, "simple-stream")
    assert 'data: {"delta":"headgate?"}' in answer
    assert "event: done" in answer
    assert "data: [DONE]" in answer
    assert strangers(browser, url) == []


def test_redoc_shows_every_operation_and_asks_no_other_host(browser, url):
    browser.open(f"{url}/redoc")
    browser.until("document.body.innerText.includes('Reload the configuration')")
    text = browser.text()
    for said in ("Chat with a model", "Create a chat completion", "Create a message", "rate_limited"):
        assert said in text
    assert strangers(browser, url) == []
    assert browser.complaints == []
