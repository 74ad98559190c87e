"""A stand-in for a CRTK robot controller, for demonstrations and tests. No part of it runs in an operating room.

It writes what a dVRK writes and listens to everything the assistant and the watchdog say, as a careful controller would.
It stands outside the fence around the assistant: it publishes under a robot's names.
"""
