from llm.text.message import Call, Message, paired

A, B = Call("a", "f", "{}"), Call("b", "g", "{}")
HELLO = Message("user", "Hello.")


def calls(*made: Call, text: str = "") -> Message:
    return Message("assistant", text, made)


def output(of: Call, text: str = "1") -> Message:
    return Message("tool", text, call_id=of.id)


def test_a_conversation_without_tools_stays_as_it_is() -> None:
    said = [Message("system", "s"), HELLO, Message("assistant", "Hi."), Message("assistant", "Yes?"), HELLO]
    assert paired(said) == said


def test_calls_of_one_reply_are_joined_with_its_text() -> None:
    apart = [HELLO, Message("assistant", "See:"), calls(A), calls(B), output(A), output(B)]
    assert paired(apart) == [HELLO, calls(A, B, text="See:"), output(A), output(B)]


def test_one_call_behind_another_output_is_another_message() -> None:
    in_turn = [HELLO, calls(A), output(A), calls(B), output(B)]
    assert paired(in_turn) == in_turn


def test_outputs_come_right_behind_their_calls() -> None:
    late = [HELLO, calls(A), Message("user", "Are you there?"), Message("assistant", "Yes."), output(A)]
    expected = [HELLO, calls(A), output(A), Message("user", "Are you there?"), Message("assistant", "Yes.")]
    assert paired(late) == expected
    assert paired([HELLO, calls(A, B), output(B), output(A)]) == [HELLO, calls(A, B), output(A), output(B)]


def test_calls_that_nobody_has_answered_are_left_out() -> None:
    assert paired([HELLO, calls(A), HELLO]) == [HELLO, HELLO]
    assert paired([HELLO, calls(A, text="See:")]) == [HELLO, Message("assistant", "See:")]
    assert paired([HELLO, calls(A, B), output(B)]) == [HELLO, calls(B), output(B)]


def test_an_output_whose_call_is_gone_is_what_the_user_says() -> None:
    assert paired([output(A, "21 degrees"), HELLO]) == [Message("user", "21 degrees"), HELLO]


def test_one_by_one_each_call_has_its_own_message() -> None:
    joined = [HELLO, calls(A, B, text="See:"), output(A), output(B)]
    expected = [HELLO, calls(A, text="See:"), output(A), calls(B), output(B)]
    assert paired(joined, one_by_one=True) == expected
