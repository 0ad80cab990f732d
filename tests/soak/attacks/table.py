"""All attacks. See `attack` for how one is added."""

from tests.soak.attacks import silent
from tests.soak.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (*silent.ATTACKS,)
