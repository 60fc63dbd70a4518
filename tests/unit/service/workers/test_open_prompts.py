from service.workers.open_prompts import OpenPrompts


def test_a_prompt_is_remembered_until_it_is_forgotten() -> None:
    prompts = OpenPrompts(max_chars=10)
    prompts.note("ex-1", "text")
    assert prompts.get("ex-1") == "text"
    prompts.forget("ex-1")
    prompts.forget("ex-1")
    assert prompts.get("ex-1") is None


def test_the_oldest_make_room_and_what_is_noted_again_counts_once() -> None:
    prompts = OpenPrompts(max_chars=10)
    for exchange, text in (("a", "1234"), ("b", "1234"), ("b", "12345"), ("c", "12")):
        prompts.note(exchange, text)
    assert [prompts.get(it) for it in "abc"] == [None, "12345", "12"]
    prompts.note("huge", "x" * 11)
    assert [prompts.get(it) for it in ("b", "c", "huge")] == [None, None, None]
    prompts.note("d", "1234567890")
    assert prompts.get("d") == "1234567890"


def test_of_very_many_short_prompts_the_latest_are_remembered() -> None:
    prompts = OpenPrompts(max_chars=1_000_000, max_texts=10)
    for number in range(100):
        prompts.note(f"ex-{number}", "")
    assert [n for n in range(100) if prompts.get(f"ex-{n}") is not None] == [*range(90, 100)]
