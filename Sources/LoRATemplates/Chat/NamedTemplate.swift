/// A chat template that has a name, for models without one of their own.
///
/// ```swift
/// let template = try ChatTemplate(NamedTemplate.plain.source, specialTokens: ["eos_token": "</s>"])
/// ```
public enum NamedTemplate: String, Sendable, Hashable, CaseIterable {
  /// `User: ...` and, on the next line, `Assistant: ...` with the model's end-of-sequence token: words that
  /// every vocabulary has.
  case plain
  /// ChatML: `<|im_start|>role`, the content on the next line, `<|im_end|>`. For models whose vocabulary
  /// has these two tokens; others spell them in many.
  case chatml

  /// The template, as Jinja.
  public var source: String {
    switch self {
    case .plain:
      """
      {%- for message in messages -%}
      {%- if message.role == 'user' -%}
      {{ ('' if loop.first else '\\n') + 'User: ' + message.content + '\\nAssistant:' }}
      {%- elif message.role == 'assistant' -%}
      {%- generation %}{{ ' ' + message.content }}{{ eos_token }}{% endgeneration -%}
      {%- elif message.role == 'system' -%}
      {{ message.content }}
      {%- else -%}
      {{ raise_exception('the template "plain" has no role ' + message.role) }}
      {%- endif -%}
      {%- endfor -%}
      """
    case .chatml:
      """
      {%- for message in messages -%}
      {{ '<|im_start|>' + message.role + '\\n' }}
      {%- if message.role == 'assistant' -%}
      {%- generation %}{{ message.content + '<|im_end|>' }}{% endgeneration -%}
      {%- else -%}
      {{ message.content + '<|im_end|>' }}
      {%- endif -%}
      {{ '\\n' }}
      {%- endfor -%}
      {%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
      """
    }
  }
}
