"""A recorded case played through the live graph: `ros2 launch surgical_ml replay.launch.py video:=case.mp4`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("surgical_ml")


def generate_launch_description() -> LaunchDescription:
    """The operating-room launch with a recording as its source, and where asked for a stand-in for the robot."""
    video = PathJoinSubstitution([SHARE, "launch", "clips", "cholecystectomy.mp4"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("video", default_value=video, description="What to play; a shipped clip by default."),
            DeclareLaunchArgument(
                "records_dir", default_value="", description="Folder of the cases' records; empty for ROS_HOME's."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([SHARE, "launch", "params", "replay.yaml"]),
                description="Parameters; the default ones suit the shipped clip, which shows half an hour in a minute.",
            ),
            DeclareLaunchArgument("robot_stub", default_value="true", description="Start the robot stand-in, too."),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "assistant.launch.py"])),
                launch_arguments={
                    "source": LaunchConfiguration("video"),
                    "records_dir": LaunchConfiguration("records_dir"),
                    "params_file": LaunchConfiguration("params_file"),
                    # A recording that is over must not be played again because a process has ended.
                    "use_respawn": "false",
                }.items(),
            ),
            Node(
                package="surgical_ml",
                executable="surgical-ml-robot-stub",
                name="robot_stub",
                output="screen",
                condition=IfCondition(LaunchConfiguration("robot_stub")),
            ),
        ]
    )
