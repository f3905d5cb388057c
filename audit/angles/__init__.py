"""What is measured at angles between the exact ones, by a declared resampler and with a control."""

from audit.angles.answers import AnglePlan
from audit.angles.outcome import AngleOutcome, AngleSelfTest, AngleThresholds
from audit.angles.run import audit_angles

__all__ = ["AngleOutcome", "AnglePlan", "AngleSelfTest", "AngleThresholds", "audit_angles"]
