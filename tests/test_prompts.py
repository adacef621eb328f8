"""How questions are put: the templates that come with the package, and the user's own in a sandbox."""

from pathlib import Path

import lookalikes
import pytest

from gpo import tasks
from gpo.tasks import benchmarks, prompts
from gpo.types import InputError

ROW = tasks.Row("r", "How many?", "7", {"subject": "Geometry", "solution": "It is 7.", "level": "Level 1"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(lookalikes.write_all(tmp_path_factory.mktemp("data")))


def asked(folder: str, name: str, style: str, num: int | None = None) -> str:
    row = benchmarks.read(name, "test", folder)[0][0]
    return tasks.prompt(style, name, folder, num)(row)


def test_own_rows_and_generated_tasks_are_asked_plainly_and_benchmarks_zero_shot() -> None:
    assert tasks.prompt(None, None)(ROW) == tasks.prompt(None, "chain_sum")(ROW) == "How many?"
    assert tasks.prompt("plain", "math")(ROW) == "How many?"
    assert tasks.prompt(None, "math")(ROW) == tasks.prompt("zero-shot", "math")(ROW)


def test_zero_shot_prompts_say_how_to_write_the_answer(folder: str) -> None:
    assert tasks.prompt("zero-shot", "math")(ROW) == (
        "How many?\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
    assert asked(folder, "gsm8k", "zero-shot").endswith("your final answer, a number, within \\boxed{}.")
    choice = asked(folder, "mmlu", "zero-shot")
    assert "\n(B) an oak\n" in choice
    assert choice.endswith('with "the answer is (X)", where X is the letter of the right option.')
    row = next(r for r in benchmarks.read("bbh", "test", folder)[0] if r.columns["subject"] == "word_sorting")
    assert tasks.prompt("zero-shot", "bbh")(row).endswith('with "the answer is" and the answer alone.')


def test_few_shot_prompts_show_examples_of_the_sets_own_other_splits(folder: str) -> None:
    text = asked(folder, "gsm8k", "few-shot", 2)
    assert text.count("Question: ") == 3
    assert text.count("\n#### ") == 2
    assert text.endswith("on the cart?\nAnswer:")
    text = asked(folder, "math", "few-shot", 1)
    assert text.startswith("Problem:\nWhere is the corner? (train)\n\nSolution:\nAt $\\boxed{")
    assert "Final Answer: The final answer is $\\left(3,\\tfrac{\\pi}{2}\\right)$.\n\nProblem:\n" in text
    assert text.endswith("(test)\n\nSolution:")


def test_few_shot_choices_show_examples_of_their_subject(folder: str) -> None:
    text = asked(folder, "mmlu", "few-shot", 3)
    assert text.startswith(
        "The following are multiple choice questions (with answers) about botany.\n\nQuestion"
    )
    assert text.count("Answer: The answer is (") == 3
    assert "bends light" not in text
    text = asked(folder, "mmlu_pro", "few-shot", 3)
    assert text.count("Answer: Let's think step by step. It is so. The answer is (") == 3
    assert text.endswith("Answer: Let's think step by step.")


def test_few_shot_bbh_is_the_published_prompt_without_its_canary(folder: str) -> None:
    text = asked(folder, "bbh", "few-shot")
    assert text.startswith("Do boolean_expressions.\n\nQ: Which?\nA: So the answer is it.\n\nQ: Which way")
    assert text.endswith("A: Let's think step by step.")
    with pytest.raises(InputError, match="bbh needs its published prompts in --data-dir"):
        tasks.prompt("few-shot", "bbh", None)(benchmarks.read("bbh", "test", folder)[0][0])


def test_a_question_is_never_its_own_example(folder: str) -> None:
    for name, split in (("gsm8k", "train"), ("mmlu", "dev"), ("mmlu_pro", "validation")):
        put = tasks.prompt("few-shot", name, folder, 2)
        for row in benchmarks.read(name, split, folder)[0]:
            if name != "gsm8k" or row.id in ("gsm8k/train/1", "gsm8k/train/5"):
                before = put(row)[: -len(row.question) - 10]
                assert row.question not in before, row.id
        assert prompts.SHOTS[name].split != "test"


def test_only_few_shot_prompts_stop_at_the_next_question() -> None:
    assert prompts.stops("few-shot", "gsm8k") == ("\nQuestion:",)
    assert prompts.stops("few-shot", "math500") == ("\nProblem:",)
    assert prompts.stops("zero-shot", "gsm8k") == prompts.stops(None, None) == ()


def own(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.jinja"
    path.write_text(text)
    return str(path)


def test_your_own_template_sees_the_row_but_not_its_answer(tmp_path: Path) -> None:
    name = own(tmp_path, "{{ subject|upper }} ({{ columns.level }}): {{ question }}\n")
    assert tasks.prompt(name, None)(ROW) == "GEOMETRY (Level 1): How many?"
    for hidden in ("answer", "solution", "columns.solution"):
        with pytest.raises(InputError, match="cannot be filled in"):
            tasks.prompt(own(tmp_path, f"{{{{ {hidden} }}}}"), None)(ROW)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ question.__class__.__base__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ columns.update({'a': 1}) }}",
        "{% for i in range(10000000000) %}{{ i }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(tmp_path: Path, attack: str) -> None:
    with pytest.raises(InputError, match=r"--prompt .*own\.jinja: cannot be filled in"):
        tasks.prompt(own(tmp_path, attack), None)(ROW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{% if %}", r"own\.jinja: line 2: Expected an expression"),
        ("{{ nothing }}", "cannot be filled in .'nothing' is undefined"),
        ("{{ 1 / 0 }}", "cannot be filled in .division by zero"),
        ("{{ 'x' * 10**18 }}", "cannot be filled in .too large"),
        (" {# nothing #} ", "makes an empty prompt"),
    ],
)
def test_a_template_that_does_not_work_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        tasks.prompt(own(tmp_path, text), None)(ROW)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("style", "task", "message"),
    [
        ("one-shot", None, "must be one of plain, zero-shot, few-shot or a .jinja file"),
        ("no/such.jinja", None, "no such file"),
        ("few-shot", "chain_sum", "works for benchmarks only"),
        ("zero-shot", None, "works for benchmarks only"),
    ],
)
def test_a_prompt_that_is_none_is_refused(style: str, task: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks.prompt(style, task)


def test_more_examples_than_there_are_is_refused(folder: str) -> None:
    with pytest.raises(InputError, match="--shots 9: mmlu dev has 5 for"):
        asked(folder, "mmlu", "few-shot", 9)
