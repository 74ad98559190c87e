"""Runs the stand-in: `python -m surgical_ml.ros.standin --record heard.jsonl --until case-end --timeout 120`."""

import argparse
import sys

import rclpy
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

from surgical_ml.errors import InputError
from surgical_ml.ros.spinning import spin
from surgical_ml.ros.standin.robot import CASE_END, RobotStub


def _options(words: list[str]) -> list[Parameter]:
    parser = argparse.ArgumentParser(prog="robot_stub", description=__doc__)
    parser.add_argument("--record", metavar="FILE", help="write one JSON line for each message and event")
    parser.add_argument("--until", choices=[CASE_END], help="exit 0 once a case has begun and ended")
    parser.add_argument("--timeout", metavar="S", type=float, dest="timeout_s", help="exit 1 after so many seconds")
    parser.add_argument("--pictures", action="store_true", default=None, help="subscribe to mask and overlay as well")
    given = vars(parser.parse_args(words))
    return [Parameter(name, value=value) for name, value in given.items() if value is not None]


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Run until stopped or done: 0 when done, 1 when not, 2 for bad usage."""
    options = _options(remove_ros_args(sys.argv)[1:])
    rclpy.init()
    try:
        robot = RobotStub(_say, rclpy.try_shutdown, parameter_overrides=options)
    except InputError as refused:
        print(f"robot_stub: {refused}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    except KeyboardInterrupt:  # stopped before there was anything to say
        rclpy.try_shutdown()
        return 1
    try:
        spin(robot)
    finally:
        robot.finish()
        robot.destroy_node()
        rclpy.try_shutdown()
    return 0 if robot.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
