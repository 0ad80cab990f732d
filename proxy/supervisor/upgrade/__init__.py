"""An upgrade in place: a new parent takes the place of the running one."""
