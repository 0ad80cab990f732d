"""What a change of edition changes, and what a running proxy cannot change."""

from proxy.supervisor.reloads.refusals import changes_between, restart_problems
from tests.accounts import AS_SOMEBODY_ELSE
from tests.configurations import MINIMAL_REST, Site, listener
from tests.workforces import edition_of


def test_new_content_of_a_file_is_one(site: Site) -> None:
    files = site.authority.issue("renewed", ("chat.test", "*.chat.test"))
    text = site.minimal.replace(str(site.chat.certificate), str(files.certificate)).replace(
        str(site.chat.key), str(files.key)
    )
    before = edition_of(site, text)
    site.authority.issue("renewed", ("chat.test", "*.chat.test"))
    changes = changes_between(before, edition_of(site, text, 2))
    assert sorted(change.key for change in changes) == ["identity.chat.certificate", "identity.chat.key"]
    assert changes_between(before, before) == ()


@AS_SOMEBODY_ELSE
def test_what_needs_a_restart_is_a_problem_of_its_key(site: Site) -> None:
    before = edition_of(site, site.minimal)
    after = edition_of(site, 'user = "nobody"\nworkers = 3\n' + site.minimal, 2)
    (problem,) = restart_problems(changes_between(before, after), after)
    assert problem.key == "user"
    assert problem.is_error
    assert "needs a restart" in problem.found


def test_routes_and_workers_need_none(site: Site) -> None:
    before = edition_of(site, site.minimal)
    after = edition_of(site, "workers = 3\n" + listener("public") + site.identity + MINIMAL_REST, 2)
    assert restart_problems(changes_between(before, after), after) == []
