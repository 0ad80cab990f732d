"""A TCP listener whose key is in a token, beside a passthrough that no token sees."""

from tests.configurations import MINIMAL_LISTENER
from tests.hsm.site import HsmSite
from tests.integration.gateway import complaints
from tests.integration.hsm_scene import RETRIED_GROUPS, USUAL_GROUPS, running, scene_of
from tests.integration.upstreams import scripted


def test_handshakes_are_signed_in_the_token_and_bytes_follow(hsm_site: HsmSite) -> None:
    plexi = hsm_site.hsm.add_token("plexi")
    public = hsm_site.hsm.share("chat", plexi)
    with scripted(lambda peer: peer.send(b"hello, " + peer.read_some())) as irc:
        tables = f'[upstream.irc]\nservers = ["tcp://{irc.url.removeprefix("http://")}"]\n'
        configuration = hsm_site.write(
            hsm_site.tokens(plexi),
            hsm_site.identity("localhost", public, "pkcs11:token=plexi;object=chat"),
            tables,
            listener=MINIMAL_LISTENER + 'protocol = "tcp"\nupstream = "irc"\nalpn = ["irc"]\n',
        )
        with running(hsm_site, configuration) as run:
            one = scene_of(hsm_site, run)
            for groups in (USUAL_GROUPS, RETRIED_GROUPS):
                context = one.client(groups)
                context.set_alpn_protocols(["irc"])
                with one.connect(context) as client:
                    assert client.selected_alpn_protocol() == "irc"
                    client.sendall(b"world")
                    assert client.recv(100) == b"hello, world"
        assert complaints(run.output) == []
