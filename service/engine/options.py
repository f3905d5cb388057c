"""How onnxruntime is told to run a graph: every session of the project is opened with these."""

from typing import Any

import onnxruntime

SILENT, ERRORS, WARNINGS = 4, 3, 2


def session_options(threads: int, *, strict: bool, quiet: bool = False) -> Any:
    """Return the `onnxruntime.SessionOptions` for a graph.

    Nothing is said about graph optimisation, so all of it is on. It fuses a Conv with the Mul
    behind it, which rounds where a graph of whole numbers held in floats did not: such a graph
    keeps its exactness only if a Round stands between the two, as the project's own do.

    Parameters
    ----------
    threads
        How many threads compute one batch.
    strict
        Refuse a graph with a node that would run on the CPU because the device cannot.
    quiet
        Log nothing: the caller reports what goes wrong.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT if quiet else ERRORS
    # Threads that spin between requests take the cores from decoding and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options
