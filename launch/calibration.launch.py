"""A camera calibrated live: `ros2 launch surgical_ml calibration.launch.py pattern:=chessboard:9x6:10mm image:=/image`.

No part of the operating-room launch.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def generate_launch_description() -> LaunchDescription:
    """The node that watches for the pattern, and says what is still missing."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("image", default_value="image", description="Topic of the camera's pictures."),
            DeclareLaunchArgument(
                "pattern", default_value="chessboard:9x6:10mm", description="Printed pattern; inner corners count."
            ),
            DeclareLaunchArgument("model", default_value="pinhole", description="pinhole, rational or fisheye."),
            DeclareLaunchArgument("out", default_value="camera.yaml", description="Calibration to write."),
            Node(
                package="surgical_ml",
                executable="surgical-ml",
                name="calibration_capture",
                namespace="surgical_ml",
                output="screen",
                arguments=[
                    *("calibrate", "live", "--topic", LaunchConfiguration("image")),
                    *("--pattern", LaunchConfiguration("pattern"), "--model", LaunchConfiguration("model")),
                    *("--out", LaunchConfiguration("out")),
                ],
            ),
        ]
    )
