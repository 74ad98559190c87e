"""Running one node in a process until someone stops it."""

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node


def spin(node: Node) -> None:
    """Serve `node` until SIGINT, SIGTERM or its context's shutdown; each of them is a clean end.

    What a callback raises goes through, unless the context went down under a callback that was just publishing.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except rclpy_implementation.RCLError:
        if node.context.ok():
            raise
    finally:
        executor.remove_node(node)
        executor.shutdown()
