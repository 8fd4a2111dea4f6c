from pathlib import Path

import pytest

from assistant.models.store import ModelStoreError, load_catalog

MODEL = f'[[model]]\nname = "tiny"\nrole = "llm"\nlicence = "MIT"\nsha256 = "{"0" * 64}"\n'
MODEL += 'size = 2_000_000\nsuffix = ".bin"\n'
WHEEL = '[model.wheel]\npackage = "tiny-model"\nversion = "1.0"\nmember = "tiny_model/weights"\n'
WHEEL += "wheel_bytes = 2_000_000\n"


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("[[model]", "cannot read the model catalogue"),
        ("", "key 'model' is missing"),
        ("model = 3", "key 'model' must be list, is int"),
        ("model = [3]", "model 1: expected a table, found int"),
        ("[[models]]", "unknown key 'models'; did you mean 'model'?"),
        (
            MODEL.replace("licence", "license") + WHEEL,
            "('tiny'): unknown key 'license'; did you mean 'licence'?",
        ),
        (MODEL.replace('"llm"', "7") + WHEEL, "('tiny'): key 'role' must be str, is int"),
        (MODEL.replace("2_000_000", "true") + WHEEL, "key 'size' must be int, is bool"),
        (MODEL.replace("2_000_000", "0") + WHEEL, "key 'size' must be above zero, is 0"),
        (MODEL.replace("0" * 64, "abc") + WHEEL, "key 'sha256' has no valid value: 'abc'"),
        (MODEL.replace('"tiny"', '"../tiny"') + WHEEL, "key 'name' has no valid value: '../tiny'"),
        (MODEL.replace('role = "llm"\n', "") + WHEEL, "('tiny'): key 'role' is missing"),
        (MODEL.replace("suffix", "# suffix") + WHEEL, "('tiny'): key 'suffix' is missing"),
        (MODEL, "needs one of 'wheel', 'hub' and 'path', has none"),
        (MODEL + 'path = "x"\n' + WHEEL, "needs one of 'wheel', 'hub' and 'path', has ['path', 'wheel']"),
        (MODEL + "[[model.wheel]]", "key 'wheel' must be dict, is list"),
        (MODEL + WHEEL.replace("member", "members"), "('tiny'): wheel: unknown key 'members'"),
        (MODEL + WHEEL.replace('"tiny-model"', '"--index-url"'), "wheel: key 'package' has no valid value"),
        (MODEL + '[model.hub]\nrepo = "a/b"\nfile = "c"\n', "('tiny'): hub: key 'revision' is missing"),
        (MODEL + WHEEL + MODEL + WHEEL, "model 2: name 'tiny' is already taken"),
    ],
)
def test_a_catalogue_is_read_strictly(tmp_path: Path, catalog: str, message: str):
    path = tmp_path / "models.toml"
    path.write_text(catalog)
    with pytest.raises(ModelStoreError) as error:
        load_catalog(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_catalogue_is_named(tmp_path: Path):
    with pytest.raises(
        ModelStoreError, match=r"absent\.toml: cannot read the model catalogue: .*No such file"
    ):
        load_catalog(tmp_path / "absent.toml")
