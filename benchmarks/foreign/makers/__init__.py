"""Each makes models that somebody else's library exports, in an environment that holds the library,
and says what plain onnxruntime answers for pictures that the library itself has prepared. They
share nothing with this project's own code.
"""
