"""Tokens, sessions and audit lines: the same promises in memory, in SQLite and in PostgreSQL, and what the service adds."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_queue import Moments

from aiodag import NotAdmitted, OptionError, Secret, StoreError
from aiodag.access import Caller, Role
from aiodag.service import Service
from aiodag.service.access import checked_given, form_token_of, given_tokens, hash_of, new_secret, short_details
from aiodag.service.access_documents import audit_document, token_document
from aiodag.stores import Memory

DAY = 86400.0
GIVEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def moments(monkeypatch):
    """The clock of a store, which a test puts forward."""
    return Moments(monkeypatch)


@pytest.fixture
def service(store):
    return Service(store)


def states(service):
    return [(token.name, token.state) for token in service.tokens()]


# Tokens


def test_a_token_lets_its_holder_in_with_its_name_and_role(service):
    reading, operating = service.make_token("ann"), service.make_token("ops", "operate")

    found = [service.caller_of_token(token)[:2] for token in (reading, operating)]

    assert found == [("ann", Role.READ), ("ops", Role.OPERATE)]


@pytest.mark.parametrize("wrong", ["", "aiodag_", "x" * 10_000, "\ud800", "a\0b", "ÿ", "' or 1=1 --"])
def test_what_is_not_a_token_lets_nobody_in(service, wrong):
    token = service.make_token("ann")

    assert service.caller_of_token(wrong) is None
    assert service.caller_of_token(token + wrong) is None or not wrong
    assert service.caller_of_token(token[:-1]) is None
    assert service.caller_of_token(hash_of(token)) is None  # who reads the store gets in with nothing in it


def test_a_store_has_no_token_and_no_cookie_in_it(tmp_path):
    service = Service(tmp_path / "runs.db")
    token = service.make_token("ann")
    cookie = service.begin_session(token)
    service.close()

    content = (tmp_path / "runs.db").read_bytes()
    assert token.encode() not in content
    assert cookie.encode() not in content
    assert hash_of(token).encode() in content


def test_a_name_is_that_of_one_valid_token(service):
    first = service.make_token("ann")
    with pytest.raises(StoreError, match="there is a token 'ann'"):
        service.make_token("ann")
    service.revoke_token("ann")
    second = service.make_token("ann", "operate")

    assert service.caller_of_token(first) is None
    assert service.caller_of_token(second).role is Role.OPERATE
    assert states(service) == [("ann", "revoked"), ("ann", "valid")]


def test_a_token_expires_by_the_clock_of_the_store(service, moments):
    token = service.make_token("ann", expires=DAY)
    cookie = service.begin_session(token)
    assert service.caller_of_token(token) is not None
    moments.advance(DAY + 1)

    assert service.caller_of_token(token) is None
    assert service.caller_of_session(cookie) is None
    assert states(service) == [("ann", "expired")]
    service.make_token("ann")  # the name is free again
    assert states(service) == [("ann", "expired"), ("ann", "valid")]


def test_who_revokes_a_name_that_is_not_there_hears_what_was_meant(service):
    service.make_token("nightly")

    with pytest.raises(StoreError, match="did you mean 'nightly'"):
        service.revoke_token("nigthly")
    service.revoke_token("nightly")
    with pytest.raises(StoreError, match="no valid token"):
        service.revoke_token("nightly")


def test_the_first_token_is_made_once_though_two_servers_start_at_once(address):
    services = [Service(address) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(Service.make_first_token, services))

    tokens = services[0].tokens()
    for service in services:
        service.close()
    assert sum(token is not None for token in made) == 1
    assert [(token.name, token.role, token.state) for token in tokens] == [("first", "operate", "valid")]


def test_a_first_token_is_made_where_all_others_were_revoked(service):
    first = service.make_first_token()
    service.revoke_token("first")

    assert service.make_first_token() not in {None, first}


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 101, None, 3, "given", "\x1b[2J", "\ud800"])
def test_a_name_that_nobody_can_type_is_refused(name):
    with pytest.raises(OptionError, match="name="):
        Service(Memory()).make_token(name)


@pytest.mark.parametrize("role", ["root", "", None, "READ", 1, "operate "])
def test_a_role_that_there_is_not_is_refused(role):
    with pytest.raises(OptionError, match="'read' or 'operate'"):
        Service(Memory()).make_token("ann", role)


@pytest.mark.parametrize("expires", [-1, float("nan"), float("inf"), "30d", 10**400])
def test_a_time_that_does_not_come_is_refused(expires):
    with pytest.raises(OptionError, match="expires"):
        Service(Memory()).make_token("ann", expires=expires)


def test_a_use_is_noted_now_and_then(service, moments):
    token = service.make_token("ann")
    assert service.tokens()[0].used_at is None
    service.caller_of_token(token)
    first = service.tokens()[0].used_at
    service.caller_of_token(token)
    assert service.tokens()[0].used_at == first
    moments.advance(DAY)
    service.caller_of_token(token)

    assert service.tokens()[0].used_at > first


def test_a_token_whose_row_somebody_broke_lets_nobody_in_and_hides_no_other(tmp_path):
    service = Service(tmp_path / "runs.db")
    broken, whole = service.make_token("broken"), service.make_token("whole")
    for change in ("role = 'root'", "expires_at = 'never'", "made_at = x'00'"):
        with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
            connection.execute(
                f"update tokens set role = 'read', expires_at = null, made_at = 1.0, {change} where token = 1"
            )
            connection.commit()

        assert service.caller_of_token(broken) is None, change
        assert service.caller_of_token(whole).name == "whole"
        assert token_document(service.tokens()[0])["state"] == "damaged"
    service.close()


def test_no_token_and_no_hash_is_in_what_people_see(service):
    token = service.make_token("ann")
    record = service.tokens()[0]
    shown = f"{record!r} {token_document(record)} {service.caller_of_token(token)[:2]}"

    assert token not in shown
    assert hash_of(token) not in shown


# Tokens that a server is started with


def test_a_given_token_may_operate_and_is_in_no_store(service):
    caller = service.caller_of_token(GIVEN, given=(GIVEN,))

    assert caller[:2] == ("given", Role.OPERATE)
    assert service.caller_of_token(GIVEN) is None
    assert service.tokens() == []


@pytest.mark.parametrize(
    "weak", ["", "short", "x" * 31, "x" * 201, "ab" * 30, f"{GIVEN} {GIVEN}", f"{GIVEN}\n", "ä" * 40, "\0" * 40]
)
def test_a_given_token_that_could_be_guessed_or_not_be_sent_is_refused_and_not_shown(weak):
    with pytest.raises(OptionError, match="openssl rand") as refused:
        checked_given(weak, "AIODAG_TOKEN")

    assert weak not in str(refused.value) or len(weak) < 2


def test_a_token_is_given_by_a_file_or_by_the_environment(tmp_path, monkeypatch):
    assert given_tokens(None) == ()
    monkeypatch.setenv("AIODAG_TOKEN", GIVEN)
    (tmp_path / "token").write_text(f"{GIVEN[::-1]}\n")

    assert given_tokens(None) == (GIVEN,)
    assert given_tokens(tmp_path / "token") == (GIVEN[::-1],)
    with pytest.raises(OptionError, match="a file with a token"):
        given_tokens(tmp_path / "missing")


# Sessions


def test_a_session_is_as_good_as_its_token(service):
    token = service.make_token("ann")
    cookie = service.begin_session(token)
    caller = service.caller_of_session(cookie)

    assert caller[:2] == ("ann", Role.READ)
    assert service.is_still_valid(caller)
    assert service.caller_of_token(cookie) is None
    assert service.caller_of_session(token) is None
    service.revoke_token("ann")
    assert service.caller_of_session(cookie) is None
    assert not service.is_still_valid(caller)


def test_a_session_survives_the_process(address):
    with closing(Service(address)) as service:
        cookie = service.begin_session(service.make_token("ann"))

    with closing(Service(address)) as service:
        assert service.caller_of_session(cookie).name == "ann"


def test_a_session_ends_by_itself_and_when_somebody_leaves(service, moments):
    token = service.make_token("ann")
    left, kept = service.begin_session(token), service.begin_session(token)
    service.end_session(left)
    assert (service.caller_of_session(left), service.caller_of_session(kept).name) == (None, "ann")
    moments.advance(8 * DAY)

    assert service.caller_of_session(kept) is None


def test_sessions_begin_and_end_at_once_in_many_processes(address):
    services = [Service(address) for _ in range(4)]
    tokens = [services[0].make_token(f"ann{place}", expires=DAY) for place in range(4)]

    def use(place):
        for _ in range(10):
            cookies = []
            for each in tokens:
                with suppress(NotAdmitted):  # another has revoked it
                    cookies.append(services[place].begin_session(each))
            services[place].store.add_session(new_secret(), "a token", lasting=-1.0)
            for cookie in cookies:
                services[place].end_session(cookie)
        services[place].revoke_token(f"ann{place}")
        return len(cookies)

    with ThreadPoolExecutor(4) as pool:
        assert min(pool.map(use, range(4))) >= 1
    assert {token.state for token in services[0].tokens()} == {"revoked"}
    for service in services:
        service.close()


def test_a_session_of_a_given_token_ends_with_a_server_that_has_another(service):
    cookie = service.begin_session(GIVEN, given=(GIVEN,))

    assert service.caller_of_session(cookie, given=(GIVEN,)).role is Role.OPERATE
    assert service.caller_of_session(cookie, given=(GIVEN[::-1],)) is None


def test_nobody_begins_a_session_without_a_token(service):
    with pytest.raises(NotAdmitted, match="not a valid token"):
        service.begin_session("aiodag_guess")


def test_each_session_has_a_form_token_of_its_own():
    assert len({form_token_of(each) for each in ("a", "b", "")}) == 3
    assert "a" * 43 not in form_token_of("a" * 43)


# Audit


def test_an_audit_line_is_there_before_its_answer_is(service):
    ann = Caller("ann", Role.OPERATE)
    number = service.note_request(ann, "cancel", "monday", address="::1", details={"also": ["x"]})
    assert [(line.who, line.what, line.about, line.outcome) for line in service.audit()] == [
        ("ann", "cancel", "monday", None)
    ]
    service.note_answer(number, 202, "tuesday", details={"workflow": "etl"})
    line = service.audit()[0]

    assert audit_document(line) | {"at": None, "number": 0} == {
        "number": 0,
        "at": None,
        "who": "ann",
        "role": "operate",
        "what": "cancel",
        "about": "tuesday",
        "address": "::1",
        "details": {"also": ["x"], "workflow": "etl"},
        "outcome": 202,
    }


def test_audit_lines_come_newest_first_in_pages(service):
    for place in range(5):
        service.note_request(Caller("ann" if place % 2 else "bob", Role.OPERATE), "cancel", f"run{place}")
    first = service.audit(limit=2)

    assert [line.about for line in first] == ["run4", "run3"]
    assert [line.about for line in service.audit(limit=2, before=first[-1].number)] == ["run2", "run1"]
    assert [line.about for line in service.audit(who="ann")] == ["run3", "run1"]
    assert [line.about for line in service.audit(about="run2")] == ["run2"]
    assert service.audit(before=0) == []


def test_old_audit_lines_are_forgotten_where_somebody_says_so(service, moments):
    ann = Caller("ann", Role.OPERATE)
    service.note_request(ann, "cancel", "old")
    moments.advance(10 * DAY)
    service.note_request(ann, "cancel", "new")

    assert service.prune_audit(5 * DAY) == 1
    assert [line.about for line in service.audit()] == ["new"]


def test_no_secret_is_in_an_audit_line(store, monkeypatch, secrets_forgotten):
    monkeypatch.setenv("PASSWORD", "correct horse battery staple")
    Secret("PASSWORD").read()
    service = Service(store)
    told = {
        "correct horse battery staple": ["x correct horse battery staple"],
        "b": "x" * 495 + "correct horse battery staple",
    }
    number = service.note_request(Caller("ann", Role.OPERATE), "submit", "correct horse battery staple", details=told)
    service.note_answer(number, 422, details={"c": "correct horse battery staple"})

    assert "horse" not in repr(service.audit())


@given(
    st.text(st.characters(), max_size=2000),
    st.dictionaries(
        st.text(st.characters()),
        st.text(st.characters()) | st.integers() | st.none() | st.lists(st.text(st.characters())),
    ),
)
def test_any_text_can_stand_in_an_audit_line(text, details):
    store = Memory()
    service = Service(store)
    number = service.note_request(Caller(text, Role.READ), text, text, address=text, details=details)
    service.note_answer(number, 200, text, details=details)
    line = service.audit()[0]

    assert all(part.isprintable() and len(part) <= 500 for part in (line.who, line.what, line.about, line.address))
    assert len(str(line.details)) < 12_000


def test_hostile_text_is_kept_by_every_store(service):
    hostile = "a\0b\ud800\x1b[2J\u202e" + "x" * 10_000
    number = service.note_request(
        Caller(hostile, Role.READ), hostile, hostile, address=hostile, details={hostile: hostile}
    )
    service.note_answer(number, 403, hostile, details={"n": 10**5000})

    assert service.audit()[0].outcome == 403
    assert short_details({"n": 10**5000})["n"] == "…"


# Copies


def test_nobody_gets_in_by_a_copy_of_the_store(tmp_path):
    service = Service(tmp_path / "runs.db")
    token = service.make_token("ann")
    service.begin_session(token)
    service.note_request(Caller("ann", Role.OPERATE), "cancel", "monday")
    (tmp_path / "hello.json").write_text('{"tasks": {"greet": {"command": ["echo", "hello"]}}}')
    service.backup(tmp_path / "copy.db")
    service.register(str(tmp_path / "hello.json"), name="hello")
    service.copy_to(tmp_path / "other.db")
    service.close()

    for copy in ("copy.db", "other.db"):
        with closing(Service(tmp_path / copy)) as copied:
            assert copied.tokens() == []
        assert hash_of(token).encode() not in (tmp_path / copy).read_bytes()
    with closing(Service(tmp_path / "copy.db")) as copied:
        assert [line.about for line in copied.audit()] == ["monday"]


def test_looking_makes_no_store(tmp_path):
    with closing(Service(tmp_path / "none.db")) as service:
        assert (service.tokens(), service.audit(), service.caller_of_token("x"), service.caller_of_session("x")) == (
            [],
            [],
            None,
            None,
        )

    assert not (tmp_path / "none.db").exists()


def test_a_store_that_keeps_no_tokens_says_so():
    class Other:
        def journal(self):
            """Write nothing."""

        def __str__(self):
            return "other:"

    with pytest.raises(StoreError, match="other: keeps no tokens"):
        Service(Other()).tokens()
