"""A gateway that leaves TLS to nginx: its peer's calls come through by gRPC and by HTTPS, and so does what is long or oddly escaped."""

import actions
import nginx
from gateway import GRPC
from scenario import over


@over()
def calls_came_through_nginx_over_grpc(pair):
    metrics = pair.hs1.gateway.metrics()
    by_grpc = metrics.calls("inbound", binding=GRPC, outcome="ok")
    assert by_grpc > 0, metrics.operations("inbound")
    assert pair.hs2.gateway.metrics().fallbacks() == {}, pair.hs2.gateway.metrics().fallbacks()
    pair.notes = f"{by_grpc} calls by gRPC through {nginx.version()}"


ALL = [
    actions.a_public_room_is_found_by_its_alias_and_joined,
    actions.messages_go_both_ways,
    actions.media_is_downloaded_both_ways,
    actions.the_history_before_a_join_is_backfilled,
    actions.a_user_id_with_slash_equals_and_plus_is_as_good_as_any,
    calls_came_through_nginx_over_grpc,
]
