"""The assistant and its watchdog, as the operating-room stack starts them: `ros2 launch surgical_ml assistant.launch.py`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from surgical_ml.ros.profile import environment

PARAMS = PathJoinSubstitution([FindPackageShare("surgical_ml"), "launch", "params"])

ARGUMENTS = {
    "source": ("ros:image", "A video file, image folder, *.mcap, /dev/videoN, gst:PIPELINE, or ros:TOPIC."),
    "procedure": ("cholecystectomy", "Protocol to follow: the name of a shipped one, or a protocol file."),
    "engine": ("onnxruntime", "Runtime of the networks; a missing one fails `configure`."),
    "records_dir": ("", "Folder of the cases' records; empty for surgical_ml/records below ROS_HOME."),
    "namespace": ("surgical_ml", "Namespace of both nodes."),
    "params_file": (PathJoinSubstitution([PARAMS, "assistant.yaml"]), "Parameters that are not arguments here."),
    "autostart": ("true", "Configure and activate the assistant by itself."),
    "use_respawn": ("true", "Start the assistant again when it dies; it comes back withheld, and says so."),
    "watchdog": ("true", "Start the watchdog, too."),
    "log_level": ("info", "Least severity that is logged."),
}


def generate_launch_description() -> LaunchDescription:
    """Two processes: the assistant, and the watchdog that tells when it has stopped judging."""
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    log = ["--ros-args", "--log-level", given["log_level"]]
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=meaning)
                for name, (default, meaning) in ARGUMENTS.items()
            ),
            # Both must be set before the processes start: see surgical_ml/ros/profile.py.
            *(SetEnvironmentVariable(name, value) for name, value in environment().items()),
            LifecycleNode(
                package="surgical_ml",
                executable="surgical-ml-assistant",
                name="assistant",
                namespace=given["namespace"],
                parameters=[
                    ParameterFile(given["params_file"], allow_substs=True),
                    {
                        "source": given["source"],
                        "procedure": given["procedure"],
                        "engine": given["engine"],
                        "records_dir": given["records_dir"],
                        "autostart": ParameterValue(given["autostart"], value_type=bool),
                    },
                ],
                arguments=log,
                respawn=given["use_respawn"],
                respawn_delay=1.0,
                output="screen",
            ),
            Node(
                package="surgical_ml",
                executable="surgical-ml-watchdog",
                name="watchdog",
                namespace=given["namespace"],
                parameters=[{"records_dir": given["records_dir"]}],
                arguments=log,
                respawn=True,
                respawn_delay=1.0,
                output="screen",
                condition=IfCondition(given["watchdog"]),
            ),
        ]
    )
