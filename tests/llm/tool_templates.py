"""Chat templates that take tools, written after those of three model families, and their special tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gguf_writer import write_vocabulary
from tokenizers import pre_tokenizers

SPECIAL = [
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "[/INST]",
]
BOS, EOS = 256, 257

QWEN = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\\n\\n' }}{%- endif %}
    {{- '# Tools\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools>\\nReply with <tool_call>\\n{"name": NAME, "arguments": JSON}\\n</tool_call>' }}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- set first = loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}
        {%- if first %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

LLAMA = """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {{- 'system\\n\\n' + messages[0]['content'] | trim + '<|eot_id|>' }}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- if tools is not none %}
    {%- if messages | length == 0 %}{{- raise_exception('no user message to put the tools in') }}{%- endif %}
    {{- 'user\\n\\nRespond in the format {"name": NAME, "parameters": JSON}.\\n\\n' }}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n\\n' }}{%- endfor %}
    {{- messages[0]['content'] | trim + '<|eot_id|>' }}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}{{- raise_exception('only single tool-calls') }}{%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- 'assistant\\n\\n{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) }}
        {{- '}<|eot_id|>' }}
    {%- elif message.role == 'tool' %}
        {{- 'ipython\\n\\n' }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}
        {%- else %}{{- message.content }}{%- endif %}
        {{- '<|eot_id|>' }}
    {%- else %}
        {{- message['role'] + '\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'assistant\\n\\n' }}{%- endif %}
"""

MISTRAL = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'tool' or message.tool_calls is defined %}
        {%- set id = message.tool_call_id if message.role == 'tool' else message.tool_calls[0].id %}
        {%- if id | length != 9 %}{{- raise_exception('ids have nine characters') }}{%- endif %}
    {%- endif %}
    {%- if message.role == 'tool' %}
        {{- '{"content": ' + message.content | tojson + ', "call_id": "' + message.tool_call_id + '"}' }}
    {%- elif message.tool_calls is defined %}
        {{- '[TOOL_CALLS][' }}
        {%- for call in message.tool_calls %}
            {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{- ', ' }}{%- endif %}
        {%- endfor %}
        {{- ']' + eos_token }}
    {%- else %}
        {%- if message.role == 'user' and tools is not none and loop.last %}
            {%- for tool in tools %}
                {%- for key, value in tool.function.items() %}
                    {%- if value is string %}{{- '"' + key + '": "' + value + '", ' }}
                    {%- else %}{{- '"' + key + '": ' + value | tojson + ', ' }}{%- endif %}
                {%- endfor %}
            {%- endfor %}
        {%- endif %}
        {{- message.role + ': ' + message['content'] + '[/INST]' }}
    {%- endif %}
{%- endfor %}
"""

FAMILIES: Mapping[str, str] = {"qwen": QWEN, "llama": LLAMA, "mistral": MISTRAL}


def write_bytes(path: Path, template: str, special: Sequence[str] = SPECIAL) -> Path:
    """A vocabulary of single bytes, so that ids read as text, with these special tokens and a template."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *special]
    kinds = [1] * 256 + [3] * len(special)
    return write_vocabulary(path, tokens, kinds, [], ids={"bos": BOS, "eos": EOS}, chat_template=template)
