"""The assistant on a ROS 2 graph. Only this room imports rclpy and message packages."""
