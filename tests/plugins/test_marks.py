"""What a test uses is seen from its fixtures, and nothing else decides which tests need servers."""

from collections.abc import Mapping

import pytest

from tests.plugins import marks

pytest_plugins = ["pytester"]

TESTS = """
    import pytest
    from sandbox.processes import ServerProcess

    @pytest.fixture
    def create_database(): return "postgresql://"

    @pytest.fixture
    def records(create_database): return create_database

    @pytest.fixture
    def time_skipping(): return "clock"

    def test_records(records): ...

    def test_workflow(time_skipping): ...

    def test_plain(): ...

    @pytest.mark.servers
    def test_that_says_so(): ...

    def test_that_forgot(tmp_path):
        ServerProcess("sleeper", tmp_path, ["sleep", "60"]).start()
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest('pytest_plugins = ["tests.plugins.marks", "tests.plugins.costs"]')
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = session")
    pytester.makepyfile(TESTS)
    return pytester


def test_a_fixtures_fixture_marks_as_well(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("-m", "postgres", "-v").stdout.fnmatch_lines(
        ["*test_records PASSED*", "*1 passed, 4 des*"]
    )


def test_without_servers_only_tests_that_need_none_are_run(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--no-servers", "-v", "-k", "not forgot")
    result.assert_outcomes(passed=2, deselected=3)
    result.stdout.fnmatch_lines_random(["*test_workflow PASSED*", "*test_plain PASSED*"])


def test_whoever_starts_a_server_without_a_mark_fails(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--no-servers", "-k", "forgot")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["*this test starts sleeper, but has no mark that says so*"])


def test_the_table_counts_every_test_by_its_kind(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-k", "not forgot")
    result.stdout.fnmatch_lines(
        ["*where the time went*", "servers * 2 *", "workflows * 1 *", "unit * 1 *", "together * 4 *"]
    )


def test_a_kinds_cpu_is_its_own_where_a_file_has_several(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["tests.plugins.marks", "tests.plugins.costs"]')
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = session")
    pytester.makepyfile("""
        import time, pytest

        @pytest.mark.servers
        def test_that_works():
            until = time.process_time() + 0.4
            while time.process_time() < until: ...

        def test_plain(): ...
    """)
    result = pytester.inline_run(plugins=[seen := Seen()])
    assert result.ret == 0
    assert seen.cpu["servers"] >= 0.4
    assert seen.cpu["unit"] < 0.4


class Seen:
    """Keeps what was counted."""

    cpu: Mapping[str, float] = {}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        costs = session.config.pluginmanager.getplugin("runbooks-costs")
        self.cpu = {kind: cpu for kind, (_, _, cpu) in costs.by_kind.items()}


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/audit/test_chain.py::test_one[a::b]", "tests/audit/test_chain.py"),
        ("tests/end_to_end/test_restore.py::test_one", "tests/end_to_end/"),
        ("tests/crash/test_lease.py::test_one", "tests/crash/"),
        ("tests/crash/test_kills.py::test_one[rollback]", "tests/crash/test_kills.py"),
    ],
)
def test_what_shares_servers_stays_in_one_process(test: str, group: str) -> None:
    assert marks.Files.group(test) == group
