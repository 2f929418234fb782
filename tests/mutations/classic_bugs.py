"""The bugs that libraries over RDMA verbs have had, one by one: where each would be put in here, and
the test that then fails. tests/mutations/run does it."""

from dataclasses import dataclass

VERBS = "src/transport/verbs/"
NOT_TESTED = {
    "missing GPU flush": "no wire reaches a GPU's memory yet: its operations work on copies",
}


@dataclass(frozen=True)
class Bug:
    """`right` stands once in `file`; `wrong` is the bug."""

    name: str
    file: str
    right: str
    wrong: str
    program: str
    tests: str  # GoogleTest's filter


BUGS = [
    Bug("a registration that starts earlier is not found", "src/memory/registrar.cpp",
        "if (static_cast<std::size_t>(data - it->first) >= longest_ && data != it->first) break;",
        "if (data != it->first) break;",
        "registrar_test", "*FindsWhatANaiveListFinds"),
    Bug("a registration outlives its operation, and with it the memory", "src/memory/registrar.cpp",
        "return make(kind_of(pointer), Allocation{data, bytes, {}}, bytes, Origin::temporary);",
        "static std::vector<std::shared_ptr<Region>> kept;\n"
        "  kept.push_back(make(kind_of(pointer), Allocation{data, bytes, {}}, bytes, "
        "Origin::temporary));\n"
        "  return kept.back();",
        "registrar_test", "*CoverRegistersForTheOperationOnly"),
    Bug("the wrong GID: not the one in the peer's network", VERBS + "gid.cpp",
        "is_near(entry.gid, near) ? 0 : 1;", "is_near(entry.gid, near) ? 1 : 0;",
        "verbs_test", "VerbsGid.*"),
    Bug("the MTU of one end alone", VERBS + "queue_pair.cpp",
        "attributes.path_mtu = static_cast<ibv_mtu>(std::min(port.mtu, peer.mtu));",
        "attributes.path_mtu = static_cast<ibv_mtu>(port.mtu);",
        "verbs_test", "VerbsLink.UsesTheSmallerMtuOfBothEnds"),
    Bug("the send queue overflows", VERBS + "flow.h",
        "return posted_ - done_ + requests <= depth_;", "return requests <= depth_;",
        "verbs_test", "VerbsLimits.SendQueueOfSixteen*:VerbsFlow.*"),
    Bug("a notification finds no receive", VERBS + "endpoint.h",
        "notified_ < allowed_;", "allowed_ != 0;",
        "verbs_test", "VerbsLimits.SlowReceiverNeverMissesAReceive"),
    Bug("the completion queue overflows", VERBS + "endpoint.cpp",
        "const std::uint32_t entries = shape_.send_depth + shape_.receive_depth;",
        "const std::uint32_t entries = shape_.send_depth;",
        "verbs_test", "VerbsLimits.CompletionQueue*"),
    Bug("the notification overtakes the data", VERBS + "endpoint_data.cpp",
        "    if (last) {\n      notifier_->tell(", "    if (size > 0) {\n      notifier_->tell(",
        "verbs_test", "VerbsLimits.PutLongerThanTheWholeQueueGoesOutInPieces"),
    Bug("fork() without ibv_fork_init()", VERBS + "device.cpp",
        "prepare_for_fork(*api);\n  const auto", "if (api == nullptr) prepare_for_fork(*api);\n  const auto",
        "verbs_test", "VerbsDevice.ForkSafetyComesBeforeAnyOtherVerb"),
    Bug("the limit of locked memory is not named", VERBS + "device.cpp",
        "if (error == ENOMEM) throw Error(ErrorCode::out_of_memory, what + \": \" + memlock_text());",
        "if (error == 0) throw Error(ErrorCode::out_of_memory, what + \": \" + memlock_text());",
        "verbs_test", "VerbsMemory.LockedMemoryLimitIsExplained"),
    Bug("lengths of 32 bits", VERBS + "endpoint_data.cpp",
        "put.left = source.size();", "put.left = static_cast<std::uint32_t>(source.size());",
        "verbs_test", "VerbsLimits.PutOfMoreThanFourGibibytesIsWhole"),
    Bug("an immediate in the host's byte order", VERBS + "immediate.h",
        "return htonl(std::uint32_t{static_cast<std::uint8_t>(immediate.kind)} << 28 |",
        "return (std::uint32_t{static_cast<std::uint8_t>(immediate.kind)} << 28 |",
        "verbs_test", "VerbsImmediate.*"),
    Bug("a failed completion is believed what kind it is", VERBS + "endpoint_progress.cpp",
        "if (completion.status != IBV_WC_SUCCESS) {",
        "if (completion.status != IBV_WC_SUCCESS && completion.opcode == IBV_WC_RDMA_WRITE) {",
        "verbs_test", "VerbsTrouble.*"),
    Bug("a peer's death is not noticed", VERBS + "endpoint.cpp",
        "if (closed_ || broken_ || hung_up_ || !peer_hung_up()) return;",
        "if (closed_ || broken_ || hung_up_ || peer_ >= 0) return;",
        "verbs_test", "VerbsTrouble.PeerThatIsGone*"),
    Bug("a link leaves a registration behind", VERBS + "endpoint.cpp",
        "own_region_.reset();", "(void)own_region_.release();",
        "verbs_test", "VerbsTrouble.AThousandLinksLeaveNothingBehind"),
]
