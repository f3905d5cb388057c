"""The Open Inference Protocol over gRPC: thin, over the same data plane as HTTP's."""
