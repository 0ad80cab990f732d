"""What a configuration says about alerts, also by its previous keys."""

from config.loading.loader import load
from proxy.observe.alert_kinds import AlertUrgency
from proxy.supervisor.alerts.settings import AlertSettings, program_problems
from tests.accounts import NEEDS_ROOT, root_only_directory
from tests.configurations import Site


def settings(site: Site, text: str) -> AlertSettings:
    return AlertSettings.of(load(site.write(site.minimal + text)))


def test_without_a_word_there_is_no_receiver_and_no_memory(site: Site) -> None:
    found = settings(site, "")
    assert (found.command, found.webhook, found.memory, found.directories) == ((), None, None, ())
    assert found.certificate_left == 21 * 86_400
    assert found.patience.resolve_seconds == 30
    assert found.patience.repeat_seconds == {
        AlertUrgency.CRITICAL: 3_600,
        AlertUrgency.SERIOUS: 21_600,
        AlertUrgency.WARNING: 86_400,
    }


def test_directories_that_the_parent_writes_to_are_looked_at_once_each(site: Site) -> None:
    text = '[rotation]\nstate = "state"\n[sealing]\nkey = "seal.key"\ndirectory = "state"\n'
    found = settings(site, f'{text}[payload]\ndirectory = "rings"\n')
    assert [one.name for one in found.directories] == ["state", "rings"]
    assert found.memory is not None
    assert found.memory.parent == found.directories[0]
    assert found.memory.name == "alerts.json"


def test_a_program_that_cannot_be_run_is_a_warning(site: Site) -> None:
    def problems(program: str) -> list[str]:
        loaded = load(site.write(f'{site.minimal}[alerts]\ncommand = ["{program}", "x"]\n'))
        found = list(program_problems(loaded))
        assert not any(one.is_error for one in found)
        return [one.key for one in found]

    assert problems("no-such-program") == problems("a\\u0000b") == ["alerts.command[0]"]
    assert problems("true") == []


@NEEDS_ROOT
def test_root_runs_no_program_that_another_user_can_change(site: Site) -> None:
    with root_only_directory() as place:
        (below := place / "sticky" / "own").mkdir(parents=True)
        (script := below / "page").write_text("#!/bin/sh\n")
        script.chmod(0o755)

        def problems() -> list[str]:
            loaded = load(site.write(f'{site.minimal}[alerts]\ncommand = ["{script}"]\n'))
            return [str(one) for one in program_problems(loaded) if one.is_error]

        assert problems() == []
        below.parent.chmod(0o1777)
        (problem,) = problems()
        assert f'"{script}", which root would run: {below.parent}, of user 0 with mode 1777; allowed: ' in problem
        script.write_text("#!/gone\n")
        below.parent.chmod(0o755)
        assert "which root would run: /gone: No such file" in problems()[0]
