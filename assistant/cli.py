"""The command line. Commands import what they run when they run: `--help` must not load a model library."""
# ruff: noqa: PLC0415  # see above: importing torch takes longer than most commands

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Optional

import typer

import assistant
from assistant.commands import standard_streams
from assistant.commands.cluster import app as cluster
from assistant.commands.dashed_text import TextCommand
from assistant.commands.models import app as models
from assistant.commands.trace import app as trace

app = typer.Typer(
    name="assistant",
    help="A voice assistant in one process: it listens, thinks and speaks, and says where the time went.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing the help with rich takes longer than all the rest of it
)

evaluate = typer.Typer(help="Measure the quality of a model.", no_args_is_help=True)
app.add_typer(cluster, name="cluster")
app.add_typer(models, name="models", help="The models: which there are, which are here, are they whole.")
app.add_typer(evaluate, name="eval")
app.add_typer(trace, name="trace")

_INTERRUPTED = 130  # what typer ends with at Ctrl-C, as a shell would say it

ConfigOption = Annotated[
    Optional[Path], typer.Option("--config", help="TOML file; see docs/configuration.md.")  # noqa: UP045
]
VoiceOption = Annotated[Optional[str], typer.Option("--voice", help="heart, emma, fable or kore.")]  # noqa: UP045
SpeedOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--speed", metavar="NUMBER", help="Of the speech: 0.25 to 1.5, 1 is the voice's own."),
]
VolumeOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--volume", metavar="PERCENT", help="Of the speech: 1 to 100."),
]
JsonOption = Annotated[Optional[Path], typer.Option("--json", help="Write the report here.")]  # noqa: UP045


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assistant {assistant.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # the option's callback ends the program
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """See `app`."""


@app.command()
def demo(
    path: Annotated[Path, typer.Argument(help="Clip or folder of clips.")] = Path("traces"),
    output: Annotated[Path, typer.Option("-o", help="Where the spoken reply goes.")] = Path("reply.wav"),
    config: ConfigOption = None,
) -> None:
    """Hold a conversation with the first recording in PATH; write the reply and show where the time went."""
    from assistant.commands.demo import run_demo

    run_demo(path, output, config)


@app.command()
def replay(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or folders with an index.json.")],
    json: JsonOption = None,
    perfetto: Annotated[Optional[Path], typer.Option(help="Write a trace for ui.perfetto.dev.")] = None,  # noqa: UP045
    otel: Annotated[
        Optional[Literal["console", "otlp"]],  # noqa: UP045
        typer.Option(help="Export spans as OpenTelemetry."),
    ] = None,
    conversation: Annotated[bool, typer.Option("--conversation", help="One conversation, not many.")] = False,
    sessions: Annotated[int, typer.Option(min=1, max=64, help="Conversations side by side.")] = 1,
    record: Annotated[Optional[Path], typer.Option(help="Record a trace into this new folder.")] = None,  # noqa: UP045
    config: ConfigOption = None,
) -> None:
    """Feed recorded clips to the assistant in real time and measure its replies."""
    from assistant.commands.replay import run_replay

    run_replay(paths, json, perfetto, otel, conversation, sessions, record, config)


@app.command()
def chat(
    speak: Annotated[Optional[Path], typer.Option(help="Write the replies' speech here.")] = None,  # noqa: UP045
    voice: VoiceOption = None,
    speed: SpeedOption = None,
    volume: VolumeOption = None,
    config: ConfigOption = None,
) -> None:
    """Type to the assistant; its reply streams back."""
    from assistant.commands.chat import run_chat
    from assistant.commands.speech_options import SpeechOptions

    run_chat(sys.stdin, speak, config, SpeechOptions(voice, speed, volume))


@app.command()
def talk(
    input: Annotated[Optional[str], typer.Option("--input", help="Microphone, by part of its name.")] = None,  # noqa: A002, UP045
    output: Annotated[Optional[str], typer.Option("--output", help="Loudspeaker, likewise.")] = None,  # noqa: UP045
    seconds: Annotated[Optional[float], typer.Option(min=0.1, help="End by itself after this time.")] = None,  # noqa: UP045
    json: JsonOption = None,
    push_to_talk: Annotated[bool, typer.Option("--push-to-talk", help="Listen between two spaces.")] = False,
    wake: Annotated[
        Optional[Literal["off", "hey-jarvis", "hey-mycroft", "okay-nabu"]],  # noqa: UP045
        typer.Option(help="Sleep until this is said."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines only, nothing live.")] = False,
    url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A server that answers instead: ws://HOST:8765/v1/realtime."),
    ] = None,
    token: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(envvar="ASSISTANT_TOKEN", help="The server's; the variable is not seen in ps."),
    ] = None,
    voice: VoiceOption = None,
    speed: SpeedOption = None,
    volume: VolumeOption = None,
    record: Annotated[Optional[Path], typer.Option(help="Record a trace into this new folder.")] = None,  # noqa: UP045
    config: ConfigOption = None,
) -> None:
    """Talk to the assistant by microphone and loudspeaker."""
    from assistant.commands.speech_options import SpeechOptions
    from assistant.commands.talk import TalkRequest

    speech = SpeechOptions(voice, speed, volume)
    request = TalkRequest(input, output, seconds, json, push_to_talk, wake, plain, speech)
    if url is None:
        from assistant.commands.talk_here import talk_here

        talk_here(request, config, record)
    else:
        from assistant.commands.talk_remote import talk_remote

        if record:
            raise typer.BadParameter(
                "with --url the server records: assistant serve --record", param_hint="--record"
            )
        talk_remote(request, config, url, token)


@app.command()
def devices() -> None:
    """List microphones and loudspeakers."""
    from assistant.commands.devices import run_devices

    run_devices()


@app.command(cls=TextCommand)
def say(
    text: Annotated[
        str, typer.Argument(help="What to say; - is standard input. Behind --, it may begin with -.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="WAV or FLAC file.")],
    voice: VoiceOption = None,
    speed: SpeedOption = None,
    volume: VolumeOption = None,
    config: ConfigOption = None,
) -> None:
    """Speak TEXT into a file."""
    from assistant.commands.say import run_say
    from assistant.commands.speech_options import SpeechOptions

    run_say(text, output, config, SpeechOptions(voice, speed, volume))


@app.command()
def transcribe(
    path: Annotated[Path, typer.Argument(help="The recording; - is standard input.")],
    stream: Annotated[bool, typer.Option("--stream", help="Show partials as they would come.")] = False,
    config: ConfigOption = None,
) -> None:
    """Write down what is said in a recording."""
    from assistant.commands.transcribe import run_transcribe

    run_transcribe(path, stream, config)


@app.command()
def serve(
    host: Annotated[Optional[str], typer.Option(help="Address to listen on.")] = None,  # noqa: UP045
    port: Annotated[Optional[int], typer.Option(help="Port; 0 takes one that is free.")] = None,  # noqa: UP045
    token: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            envvar="ASSISTANT_TOKEN", help="What clients must send; the variable is not seen in ps."
        ),
    ] = None,
    tls: Annotated[
        Optional[tuple[Path, Path]],  # noqa: UP045
        typer.Option(metavar="CERT KEY", help="Certificate and key, PEM files: serve wss and https."),
    ] = None,
    wyoming: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="URI", help="Speak Wyoming to Home Assistant, too: tcp://127.0.0.1:10300."),
    ] = None,
    resume: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="URL",
            envvar="ASSISTANT_RESUME",
            help="Keep conversations in Redis for clients that come back: redis://127.0.0.1:6379/0.",
        ),
    ] = None,
    log: Annotated[Literal["text", "json"], typer.Option(help="Form of the log on standard error.")] = "text",
    record: Annotated[Optional[Path], typer.Option(help="Record a trace into this new folder.")] = None,  # noqa: UP045
    replica: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(envvar="ASSISTANT_REPLICA", help="Name of this process among others, in its figures."),
    ] = None,
    otel: Annotated[
        Optional[Literal["console", "otlp"]],  # noqa: UP045
        typer.Option(help="Export spans as OpenTelemetry, to stderr or a collector."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Serve remote clients over WebSocket, in the protocol of OpenAI's Realtime API."""
    from assistant.commands.serve import read_settings, run_serve

    settings = read_settings(config, host, port, token, tls, wyoming, replica, otel, resume)
    run_serve(settings, log, record=record)


@app.command()
def graph() -> None:
    """Print the stages a turn goes through and the channels between them."""
    from assistant.runtime import render
    from assistant.session.pipeline import GRAPH

    typer.echo(render(GRAPH))


@app.command()
def doctor(
    loopback: Annotated[
        bool, typer.Option("--loopback", help="Play chirps and a reply, and find them in the microphone.")
    ] = False,
    input: Annotated[Optional[str], typer.Option("--input", help="Microphone, by part of its name.")] = None,  # noqa: A002, UP045
    output: Annotated[Optional[str], typer.Option("--output", help="Loudspeaker, likewise.")] = None,  # noqa: UP045
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=8, max=120, help="Length of the reply; the longer, the surer the clocks' drift."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check this machine, or its loudspeaker and microphone, and say how to fix what is wrong."""
    if loopback:
        from assistant.commands.loopback import run_loopback

        run_loopback(input, output, seconds, config)
        return
    if (input, output, seconds, config) != (None, None, None, None):
        raise typer.BadParameter("--input, --output, --seconds and --config belong to --loopback")
    from assistant.doctor.doctor import doctor as run_doctor

    run_doctor()


@app.command()
def memory(
    model: Annotated[str, typer.Argument(help="A model by name, or a .gguf file.")],
    context: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Tokens a conversation; by default as in the configuration."),
    ] = None,
    sessions: Annotated[int, typer.Option(min=0, max=1_000_000, help="Conversations at once.")] = 1,
    kv: Annotated[Literal["int8", "f16", "f32"], typer.Option(help="Type of keys and values.")] = "int8",
    speed: Annotated[
        bool, typer.Option("--speed", help="Load it, and say whether it is fast enough for speech.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Count what MODEL takes of this machine's memory, and say whether it fits."""
    from assistant.commands.memory import run_memory

    run_memory(model, context, sessions, kv, json, speed=speed)


@evaluate.command("asr")
def evaluate_asr(
    folder: Annotated[Path, typer.Argument(help="Folder with an index.json.")],
    json: JsonOption = None,
    conditions: Annotated[
        str, typer.Option(help="One or more of clean, noisy, far and telephone, with commas between, or all.")
    ] = "clean",
    modes: Annotated[
        str, typer.Option(help="One or more of streaming, final and full, with commas between, or all.")
    ] = "all",
    noise: Annotated[bool, typer.Option("--noise", help="Transcribe sounds without speech as well.")] = False,
    config: ConfigOption = None,
) -> None:
    """Transcribe every clip of FOLDER and hold text and timing against its index."""
    from assistant.commands.evaluate import run_evaluate_asr

    run_evaluate_asr(folder, json, config, conditions, modes, noise)


@evaluate.command("requests")
def evaluate_requests(
    folder: Annotated[Path, typer.Argument(help="Holds requests.json and, if there is one, home.json.")],
    spoken: Annotated[bool, typer.Option("--spoken", help="Through the voice and the recognizer.")] = False,
    json: JsonOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure what comes of everyday requests."""
    from assistant.commands.evaluate_requests import run_evaluate_requests

    run_evaluate_requests(folder, json, config, spoken=spoken)


@evaluate.command("guards")
def evaluate_guards(
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="Folder with an index.json; by default 60 texts are spoken."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Count the words that guards against invented ones lose, and the sounds that become words."""
    from assistant.commands.evaluate_guards import run_evaluate_guards

    run_evaluate_guards(folder, config)


@evaluate.command("long-form")
def evaluate_long_form(
    folder: Annotated[Path, typer.Argument(help="Folder with an index.json: the sentences to join.")],
    minutes: Annotated[float, typer.Option(min=0.1, max=60)] = 10.0,
    json: JsonOption = None,
    config: ConfigOption = None,
) -> None:
    """Join the clips of FOLDER to many minutes and transcribe them as they come: words, work, memory."""
    from assistant.commands.evaluate_long_form import run_evaluate_long_form

    run_evaluate_long_form(folder, minutes, json, config)


@evaluate.command("llm")
def evaluate_llm(
    model: Annotated[str, typer.Argument(help="A model by name, or a .gguf file.")],
    kv: Annotated[
        Optional[Literal["f32", "f16", "int8"]],  # noqa: UP045
        typer.Option(help="Type of keys and values, f32 on a CPU, f16 on a GPU; by default each in turn."),
    ] = None,
    tokens: Annotated[Optional[int], typer.Option(min=2, help="Read only so much of the text.")] = None,  # noqa: UP045
    json: JsonOption = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="Where the engine runs; auto is a GPU if one can be used, else the CPU."),
    ] = "auto",
    prompts: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Judge the greedy replies to so many; by default 50 on a GPU, else 10."),
    ] = None,
) -> None:
    """Compare MODEL with itself in float32 on the same device: perplexity, replies, speed."""
    from assistant.commands.evaluate_llm import run_evaluate_llm

    run_evaluate_llm(model, [kv] if kv else None, tokens, json, device=device, prompts=prompts)


def main() -> None:
    """Run the command line; an error of the user's or the machine's making is one line and exit code 1, or 2.

    So is a group of nothing else, as a session raises it; the first of them is told.
    """
    standard_streams.prepare()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except (OSError, ExceptionGroup) as error:
        if not standard_streams.is_lost(error):
            raise
        standard_streams.end(error)


def _run() -> None:
    try:
        app()
    except SystemExit as ending:  # first, since the next lines import every module that raises
        if ending.code == _INTERRUPTED and sys.stderr.isatty():
            typer.echo(err=True)  # behind the ^C
        raise
    except ExceptionGroup as group:
        if group.split(_expected_errors())[1]:
            raise
        _refuse(_first(group))
    except _expected_errors() as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    typer.echo(f"assistant: {error}", err=True)
    raise SystemExit(getattr(error, "exit_code", 1)) from None


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _expected_errors() -> tuple[type[Exception], ...]:
    """Called only once something was raised, so that it costs a working command nothing."""
    from assistant.errors import EXPECTED

    return EXPECTED
