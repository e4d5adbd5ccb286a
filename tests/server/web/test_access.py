"""Who may see what: every page as every role, forms from elsewhere, guessing, and names that are not ours."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

import storage
from fakes import FakeRecommender
from server.access import Role
from server.activation import Activations
from server.application import Application
from server.config import Config, ConfigError
from server.models import Models
from server.scheduling import Scheduler
from server.web.app import PAGES
from server.web.listener import WebListener, check_exposure
from server.web.sessions import COOKIE, FREE_TRIES, Lockout
from server.workers import of_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Browser

GUARDED = [page for page in PAGES if page.role is not None]


def logged_in(browser: Browser, token: str) -> Browser:
    assert browser.submit("/login", token=token).status_code == 200
    return browser


def visited(browser: Browser, page: object, record: str) -> int:
    path = page.path.replace("{id}", record)
    if page.method == "GET":
        return browser.get(path, params={"user": "u"}, follow_redirects=False).status_code
    return browser.post(path, data={"csrf": browser.csrf(), "user": "u", "typed": "x"}).status_code


@pytest.mark.parametrize("role", Role)
def test_each_role_sees_its_own_pages_alone(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str], role: Role
) -> None:
    browser = opened(auth=callers)
    record = browser.explain()
    logged_in(browser, tokens[role])

    for page in GUARDED:
        status = visited(browser, page, record)
        assert (status == 403) == (page.role is not role), (page.path, status)
        assert status < 500


@pytest.mark.parametrize("page", GUARDED, ids=lambda page: f"{page.method} {page.path}")
def test_without_a_login_there_is_the_login(
    opened: Callable[..., Browser], callers: dict[str, object], page: object
) -> None:
    browser = opened(auth=callers)
    record = browser.explain()

    assert visited(browser, page, record) == 401
    assert "Alien" not in browser.get(f"/explanations/{record}").text


@pytest.mark.parametrize("page", [page for page in PAGES if page.method == "POST"], ids=lambda page: page.path)
@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "x" * 32}])
def test_a_form_that_is_not_of_this_session_does_nothing(browser: Browser, page: object, form: dict[str, str]) -> None:
    record = browser.explain()
    path = page.path.replace("{id}", record)

    assert browser.post(path, data={**form, "user": "u", "typed": "u", "reason": "x"}).status_code == 403
    assert browser.get(f"/explanations/{record}").status_code == 200


def test_a_form_of_another_site_does_nothing(browser: Browser) -> None:
    form = {"csrf": browser.csrf(), "user": "u", "typed": "u", "reason": "x"}
    response = browser.post("/users/erase", data=form, headers={"origin": "http://evil.example"})

    assert response.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"])
def test_another_name_for_this_machine_is_refused(browser: Browser, host: str) -> None:
    assert browser.get("/explanations", headers={"host": host}).status_code == 421


def test_names_of_the_settings_are_served(opened: Callable[..., Browser]) -> None:
    browser = opened(web={"address": "127.0.0.1:8080", "hosts": ["audit.example"]})

    assert browser.get("/explanations", headers={"host": "audit.example"}).status_code == 200


def test_guessing_is_slowed_down_and_a_good_token_still_waits(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str]
) -> None:
    browser = opened(auth=callers)
    statuses = [browser.submit("/login", token=f"guess {number}").status_code for number in range(FREE_TRIES + 1)]

    assert statuses == [401] * FREE_TRIES + [429]
    assert browser.submit("/login", token=tokens["everything"]).status_code == 429


def test_the_lock_grows_and_ends() -> None:
    now = [0.0]
    lock = Lockout(lambda: now[0])
    waits = []
    for _ in range(FREE_TRIES + 3):
        lock.failed("1.2.3.4")
        waits.append(lock.wait("1.2.3.4"))
    assert waits == [0.0] * (FREE_TRIES - 1) + [2.0, 4.0, 8.0, 16.0]
    assert lock.wait("5.6.7.8") == 0
    now[0] = 16.0
    assert lock.wait("1.2.3.4") == 0
    lock.succeeded("1.2.3.4")
    lock.failed("1.2.3.4")
    assert lock.wait("1.2.3.4") == 0


def test_a_cookie_is_signed_hidden_from_scripts_and_kept_to_this_site(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str]
) -> None:
    browser = opened(auth=callers, web={"address": "127.0.0.1:8080", "https": True})
    told = browser.get("/login").headers["set-cookie"]

    assert {"HttpOnly", "SameSite=strict", "Secure"} <= {part.strip() for part in told.split(";")}
    assert tokens["everything"] not in told
    browser.cookies.set(COOKIE, browser.cookies[COOKIE][:-1] + "A")
    assert browser.get("/explanations").status_code == 401


def test_a_login_makes_a_new_session_and_a_logout_ends_it(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str]
) -> None:
    browser = opened(auth=callers)
    before = browser.csrf()
    logged_in(browser, tokens["audit.read"])
    assert browser.csrf() != before
    assert browser.get("/explanations").status_code == 200
    browser.submit("/logout")
    assert browser.get("/explanations").status_code == 401


def test_a_token_that_is_taken_away_ends_its_sessions(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 40)
    web = {"address": "127.0.0.1:8080", "secret_file": tmp_path / "secret"}
    first = logged_in(opened(auth=callers, web=web), tokens["everything"])
    same, other = opened(auth=callers, web=web), opened(auth={"callers": callers["callers"][:1]}, web=web)
    for browser in (same, other):
        browser.cookies.set(COOKIE, first.cookies[COOKIE])

    assert same.get("/explanations").status_code == 200
    assert other.get("/explanations").status_code == 401


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_login_leads_nowhere_else(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str], back: str
) -> None:
    browser = opened(auth=callers)
    form = {"csrf": browser.csrf(), "token": tokens["everything"], "back": back}

    assert browser.post("/login", data=form, follow_redirects=False).headers["location"] == "/"


@pytest.mark.parametrize("path", ["/explanations", "/login", "/nowhere", "/static/page.css"])
def test_every_answer_is_guarded(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_a_form_that_is_too_large_is_refused(browser: Browser) -> None:
    assert browser.post("/login", data={"token": "x" * 100_000}).status_code == 413


def test_a_page_for_everybody_needs_callers_and_https() -> None:
    with pytest.raises(
        ConfigError, match=r"web.address 0.0.0.0:80 is open .* without tls.certificate or web.https and auth"
    ):
        check_exposure(Config(web={"address": "0.0.0.0:80"}))
    check_exposure(Config(web={"address": "0.0.0.0:80"}, allow_insecure=True))
    check_exposure(Config(web={"address": "127.0.0.1:80"}))


def test_a_secret_that_is_too_short_stops_the_start(opened: Callable[..., Browser], tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(ConfigError, match="put 32 random ones"):
        opened(web={"address": "127.0.0.1:8080", "secret_file": tmp_path / "secret"})


def test_the_page_takes_callers_at_once_and_answers_without_delay(
    repository: storage.ExplanationRepository, tmp_path: Path
) -> None:
    """A socket that is not known to be TCP keeps small answers back for 40 ms."""
    config = Config(web={"address": "127.0.0.1:0"}, bundle=tmp_path / "bundle")
    models = Models(FakeRecommender(), config, Scheduler(config.batching))
    application = Application(models, config, repository)
    activations = Activations(models, storage.ActivationRepository(repository._database), config)
    listener = WebListener(application, activations, config)
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10):
            assert listener._socket.proto == socket.IPPROTO_TCP
    finally:
        listener.close()
        application.close()


def test_one_worker_of_several_has_the_page() -> None:
    config = Config(workers=3, web={"address": "127.0.0.1:8080"})

    addresses = [of_worker(config, number).web.address for number in range(3)]
    assert addresses == ["127.0.0.1:8080", None, None]
