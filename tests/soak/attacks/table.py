"""All attacks. See `attack` for how one is added."""

from tests.soak.attacks import http2, metrics_port, silent, slow_readers, slow_uploads, unread_answers, websockets
from tests.soak.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *silent.ATTACKS,
    *slow_uploads.ATTACKS,
    *unread_answers.ATTACKS,
    *slow_readers.ATTACKS,
    *http2.ATTACKS,
    *metrics_port.ATTACKS,
    *websockets.ATTACKS,
)
