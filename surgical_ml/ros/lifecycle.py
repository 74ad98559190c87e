"""Transitions that say why they failed."""

import functools
import traceback
from collections.abc import Callable
from typing import Protocol, TypeVar

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from surgical_ml.errors import InputError


class _HasLogger(Protocol):
    def get_logger(self) -> RcutilsLogger: ...


N = TypeVar("N", bound=_HasLogger)
Transition = Callable[[N, LifecycleState], TransitionCallbackReturn]


def logged_transition(transition: Transition[N]) -> Transition[N]:
    """Decorate `on_configure` and its siblings: log what they raise, then fail.

    rclpy turns an exception in a transition into ERROR and drops it without a word. Here an `InputError` is logged as
    its one line and the transition FAILS, so that the node stays where it was and may be tried again with better
    input; anything else is logged with its traceback and is an ERROR, which takes the node to `on_error`.
    """

    @functools.wraps(transition)
    def logged(self: N, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except InputError as refused:
            self.get_logger().error(f"{transition.__name__}: {refused}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().fatal(f"{transition.__name__}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return logged
