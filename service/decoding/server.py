"""What the process imports first that forks the decoders: if it ended, they would with it."""

from service.decoding.worker import leave_signals_to_the_service

leave_signals_to_the_service()
