"""Who makes room at the admin server."""

from proxy.admin.visitors import Stage, Visitor, who_goes

MONITOR, CROWD, OTHER = b"monitor", b"crowd", b"other"


def several(peer: bytes, count: int, stage: Stage = Stage.SILENT, since: float = 0.0) -> list[Visitor]:
    """Connections of a peer that came one after the other."""
    return [Visitor(peer, since + number, stage, since + number) for number in range(count)]


def test_nobody_goes_while_there_is_room() -> None:
    assert who_goes([], Visitor(CROWD, 0.0), most=1, share=1) is None
    assert who_goes(several(CROWD, 7), Visitor(CROWD, 9.0), most=16, share=8) is None


def test_the_oldest_silent_one_goes_whoever_comes() -> None:
    crowd = several(CROWD, 8)
    assert who_goes(crowd, Visitor(MONITOR, 9.0), most=8, share=8) is crowd[0]
    assert who_goes(crowd, Visitor(CROWD, 9.0), most=8, share=9) is crowd[0]


def test_a_peer_that_has_its_share_makes_room_itself() -> None:
    crowd, monitor = several(CROWD, 4, since=10.0), several(MONITOR, 1)
    assert who_goes([*monitor, *crowd], Visitor(CROWD, 20.0), most=16, share=4) is crowd[0]
    crowd[0].stage, crowd[1].stage = Stage.ASKING, Stage.ANSWERED
    assert who_goes([*monitor, *crowd], Visitor(CROWD, 20.0), most=16, share=4) is crowd[2]
    for one in crowd:
        one.stage = Stage.ASKING
    assert who_goes([*monitor, *crowd], Visitor(CROWD, 20.0), most=16, share=4) is crowd[0]


def test_the_peer_with_most_goes_first_although_another_one_is_older() -> None:
    crowd, monitor = several(CROWD, 3, since=10.0), several(MONITOR, 1)
    assert who_goes([*monitor, *crowd], Visitor(OTHER, 20.0), most=4, share=4) is crowd[0]


def test_a_request_is_worth_more_than_silence() -> None:
    monitor, crowd = several(MONITOR, 3, Stage.ASKING), several(CROWD, 1, since=10.0)
    assert who_goes([*monitor, *crowd], Visitor(OTHER, 20.0), most=4, share=4) is crowd[0]


def test_one_that_just_came_is_not_ended_by_those_who_have_more() -> None:
    """It has sent nothing yet, and is the only silent one: a crowd that asks repeatedly must not
    throw it out."""
    crowd, monitor = several(CROWD, 3, Stage.ASKING), several(MONITOR, 1, since=10.0)
    newest = Visitor(CROWD, 20.0)
    assert who_goes([*crowd, *monitor], newest, most=4, share=4) is newest


def test_where_nobody_is_silent_one_with_its_answer_goes_before_one_without() -> None:
    crowd, done = several(CROWD, 3, Stage.ASKING), several(MONITOR, 1, Stage.ANSWERED, since=10.0)
    assert who_goes([*crowd, *done], Visitor(OTHER, 20.0), most=4, share=4) is done[0]
    done[0].stage = Stage.ASKING
    assert who_goes([*crowd, *done], Visitor(OTHER, 20.0), most=4, share=4) is crowd[0]


def test_the_oldest_page_goes_before_a_command_and_comes_after_what_has_its_answer() -> None:
    pages, command = several(MONITOR, 2, Stage.WATCHING, since=5.0), several(OTHER, 1, Stage.ASKING)
    assert who_goes([*pages, *command], Visitor(OTHER, 20.0), most=3, share=3) is pages[0]
    done = several(CROWD, 1, Stage.ANSWERED, since=10.0)
    assert who_goes([*pages, *command, *done], Visitor(OTHER, 20.0), most=4, share=4) is done[0]


def test_a_silent_one_keeps_its_place_until_its_request_could_be_read() -> None:
    """Also if its peer has most connections, and so would be the first to make room."""
    fresh, old = Visitor(MONITOR, 1.0), several(CROWD, 1, since=2.0)[0]
    asking = several(MONITOR, 1, Stage.ASKING)
    assert who_goes([fresh, old, *asking], Visitor(OTHER, 5.0), most=3, share=3) is old
    fresh.safe_until = 5.5
    assert who_goes([fresh, old, *asking], Visitor(OTHER, 5.0), most=3, share=3) is old
    fresh.safe_until = 4.5
    assert who_goes([fresh, old, *asking], Visitor(OTHER, 5.0), most=3, share=3) is fresh


def test_it_loses_its_place_where_there_is_suddenly_room_for_fewer() -> None:
    fresh = [Visitor(MONITOR, 1.0), Visitor(CROWD, 2.0)]
    assert who_goes(fresh, Visitor(OTHER, 3.0), most=2, share=2) is fresh[0]
