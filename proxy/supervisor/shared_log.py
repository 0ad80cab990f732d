"""One log for all processes: the parent opens it, and tells each worker when it moves."""

from config.loading.loaded import ConfigFile
from config.schema import LogConfig
from proxy.observe.events.event import Tell
from proxy.observe.events.process import LogNotReopened
from proxy.processes.messages.questions import SwitchLog
from proxy.supervisor.log_target import LogTarget, NextPlace
from proxy.supervisor.workers.workforce import Workforce


class SharedLog:
    """The log of the parent and the workers; new ones get it by `Crew.beginning`."""

    def __init__(self, target: LogTarget, workforce: Workforce, tell: Tell) -> None:
        self._target = target
        self._workforce = workforce
        self._tell = tell

    def prepare(self, file: ConfigFile, log: LogConfig) -> NextPlace:
        return self._target.prepare(file, log)

    async def use(self, place: NextPlace) -> None:
        """Write there from now on, in every process."""
        if self._target.use(place):
            await self._share()

    async def reopen(self) -> None:
        """Open the renamed file again (logrotate), or keep the old one if that fails."""
        try:
            self._target.reopen()
        except OSError as error:
            self._tell(LogNotReopened(str(error)))
        else:
            await self._share()

    async def _share(self) -> None:
        await self._workforce.tell_all(SwitchLog(self._target.settings.format), [self._target.descriptor])
