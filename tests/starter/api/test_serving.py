"""How connections to the API are taken."""

import socket

from starter.api.serving import _listen


def test_an_answers_body_does_not_wait_until_its_head_is_acknowledged() -> None:
    with (
        _listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "small writes go out at once"
