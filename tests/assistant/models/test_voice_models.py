"""The models of the voices: in the catalogue as in Hibari's own registry, and used where they are wanted."""

from dataclasses import replace
from pathlib import Path

import pytest
from hibari.tts import ASSETS
from hibari.voices import BASE_URL, VOICES

from assistant.config import Config
from assistant.models.catalog import HubFile, ModelSpec, load_catalog
from assistant.models.load import model_names
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore
from assistant.trace.provenance import model_digests
from tts.stream import SpeakerConfig
from tts.voices import DEFAULT, NAMES

OTHERS = sorted(set(NAMES) - {DEFAULT})


def speaking(name: str) -> Config:
    return replace(Config(), tts=SpeakerConfig(voice=name))


@pytest.mark.parametrize("name", OTHERS)
def test_a_voice_is_fetched_from_where_hibari_has_it(name: str):
    spec, voice = load_catalog()[f"hibari-{name}"], VOICES[name]
    assert (spec.sha256, spec.size, spec.optional) == (voice["sha256"], voice["bytes"], True)
    assert isinstance(spec.source, HubFile)
    place = f"/{spec.source.repo}/resolve/{spec.source.revision}/{spec.source.file}"
    assert (BASE_URL + voice["file"]).endswith(place)


def test_the_catalogue_has_no_voice_that_cannot_be_used():
    voices = [name for name, spec in load_catalog().items() if spec.role == "tts"]
    assert sorted(voices) == [f"hibari-{name}" for name in OTHERS]


def test_the_models_of_a_configuration_have_its_voice():
    plain, british = model_names(Config()), model_names(speaking("emma"))
    assert [name for name in plain if name.startswith("hibari")] == []
    assert british == [*plain, "hibari-emma"]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_names_the_voice_that_spoke(name: str):
    digests = {model["name"]: model["sha256"] for model in model_digests(speaking(name))}
    voices = {model: digest for model, digest in digests.items() if model.startswith("hibari")}
    assert voices == {f"hibari-{name}": VOICES[name]["sha256"]}


def test_a_voice_of_the_store_speaks(tmp_path: Path):
    heart = Path(ASSETS) / VOICES[DEFAULT]["file"]
    spec = ModelSpec("hibari-emma", "tts", "Apache-2.0", heart, None, None)
    store = ModelStore(tmp_path, {"hibari-emma": spec}, offline=True)
    config = SpeakerConfig(voice="emma")
    assert locate_voice(SpeakerConfig(), store) is None
    assert locate_voice(config, store) == heart
    chunks = list(load_speaker(config, heart).speak("Hello."))
    assert sum(len(chunk.audio) for chunk in chunks) > 0.4 * 24000
