"""What an artefact of a model is made of and runs on, for whoever makes, checks or serves it."""
