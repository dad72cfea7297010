"""The templates of which transformers' answers are fixtures: every part of the language, right and wrong.

EXPRESSIONS are printed, one a line; SNIPPETS are whole templates with `---` between them. VARIABLES is
what both see.
"""

VARIABLES = {
    "messages": [{"role": "user", "content": "Hi <b>&'\""}, {"role": "assistant", "content": "Yö 日本 😀"},
                 {"role": "user", "content": "Bye"}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4}]}]}],
    "n": 5, "f": 2.5, "s": "Hello World", "l": [3, 1, 2], "d": {"b": 1, "a": 2, "items": 3}, "e": "",
    "none_": None, "t": True, "x": "ctx", "bos": "<s>",
}

EXPRESSIONS = r'''
1 + 2 * 3
2 ** 3 ** 2
-2 ** 2
7 // 2 ~ ' ' ~ -7 // 2 ~ ' ' ~ 7 % -3 ~ ' ' ~ -7 % 3
7.5 // 2
-7.5 % 2
1/3
1e16
1e15
1.5e-5
0.0001
1e22
123456789012345680.0
100000000000000000000.0
[1, 2.0, 'a', none, true, {'a': 1}]
(1,)
()
(1, 2)
{'a': 1, 2: 'b'}
"it's"
["it's", 'say "x"', "both ' and \"", "new\nline\t\\"]
s|upper
s|lower|title
s.upper()
s[::-1]
s[1:4]
s[-3:]
s[:-3]
s[::2]
s[10:2:-3]
l|sort
l|sort(reverse=true)|join(', ')
d.items()
d['items']
d.keys()|list
d|dictsort
d|items|list
d|length
messages[0].content|e
messages[1]['content']|length
messages|map(attribute='role')|join('-')
messages|selectattr('role','equalto','user')|list
messages|rejectattr('role','equalto','user')|map(attribute='content')|first
n is odd
n is even
n is divisibleby 5
n is defined and x is not defined
x
x.y
x is defined
none_.foo
none_ is none
x|default('abc')
e|default('abc', true)
'%s-%d-%05.2f-%x' % ('a', 3, 2.5, 255)
'%s' % x
'%(a)s' % {'a': 1}
'{} {}'.format(1, 2)
'{0:>5}|{1:<5}|{x:^7}|{y:.3f}|{z:,}'.format(1, 'b', x='mid', y=1.23456, z=1234567)
'{!r}'.format('a')
'a' if n > 3 else 'b'
'a' if n < 3
1 < 2 < 3
1 < 3 < 2
1 == 1.0
'a' in s
'World' in s
'x' not in l
3 in l
l == [3,1,2]
(1,2) == [1,2]
range(5)
range(5)|list
range(2,10,3)|list
range(10,0,-3)|list
d|tojson
d|tojson(indent=2)
messages|tojson
messages|tojson(ensure_ascii=true)
d|tojson(sort_keys=true)
d|tojson(separators=(',',':'))
f|tojson
none_|tojson
x|tojson
'a\tb\x01\x7f'|tojson
s.split()
s.split('o')
s.split('o', 1)
s.rsplit('o', 1)
s.partition(' ')
' a b '.strip() ~ '|'
'xxabcxx'.strip('x')
'xxabcxx'.lstrip('x')
s.startswith('Hello')
s.startswith(('x','H'))
s.replace('l','L',2)
s|replace('l','L')
s|truncate(5)
s|truncate(5, true)
s|wordcount
s|center(20)
'a\nb\n\nc'|indent
'a\nb\n\nc'|indent(2, true, true)
'3.7'|int
'abc'|int(7)
'0x1F'|int(0, 16)
'3.7'|float
3.14159|round(2)
3.5|round
2.5|round
2.5|round(0,'ceil')
2567|round(-2)
[1,2,3,4,5]|batch(2)|list
[1,2,3,4,5]|batch(2,'x')|list
[1,2,3,4,5]|slice(3)|list
[1,1,2]|unique|list
['a','A','b']|unique|list
[1,2,3]|sum
l|min ~ l|max
'abc'|reverse
[1,2]|reverse|list
'abc'|list
'abc'|first ~ 'abc'|last
[]|first
none
true
True and 0
[] or 'x'
not none
1 ~ 2
'a' 'b'
"\u00e9\x41\101\n"
'\é'
loop
namespace(a=1)
dict(a=1,b=2)
strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %a %j %y %I %p %d %e %U %W %V %G %u %w %c %x %X %D %F %T %R %%')
raise_exception('boo')
s.foo
s.__class__
s.__class__.__mro__
d.update({'a':1})
l.append(1)
l.index(2)
l.count(3)
d.get('zz')
d.get('zz', 1)
d.get('a')
'abc'.isalpha() ~ '12'.isdigit() ~ ' '.isspace() ~ 'A'.isupper()
'a,b'.split(',')[1]
s|list|length
[[1,2],[3,4]]|map('first')|list
['a','b']|map('upper')|list
['a','b']|map('replace','a','z')|list
[1,2,3]|select('odd')|list
[1,2,3]|reject('odd')|list
[0,1,2]|select|list
[{'n':'b','v':1},{'n':'a','v':2},{'n':'B','v':3}]|groupby('n')
[{'n':'b','v':1},{'n':'a','v':2}]|sort(attribute='n')
[{'n':'b','v':1},{'n':'a','v':2}]|map(attribute='zz', default='q')|list
5|string ~ 'x'
'a' * 3
[1] * 2
'a' + 1
1 + none
x + 1
s is string
l is sequence
d is mapping
f is float
n is integer
n is number
true is boolean
x is undefined
l is iterable
range is callable
'a' is in 'abc'
n is eq 5
n is gt 3
n is lt 3
'a' is lower
'foo' is filter
'upper' is filter
10 is sameas 10
1_000
0x1f
0b101
0o17
1.5E3
1_0.5
'abc'[5]
'abc'[1]
l[-1]
l[7]
d.a.b.c
1 if 2
{'a':1}.a
{1:2}[1]
[1,2,3][1:]
none_[1:]
d[1:]
(1,2,3)[::-1]
range(10)[2:8:2]
2**10
2**-1
10 ** 18
0.1 + 0.2
1e308 * 10
-0.0
5 % 0
true + true
'%d%%' % 5
'%5s|%-5s|' % ('a','b')
'%.3s' % 'abcdef'
'%r' % 'a'
'%e' % 12345.678
'%g' % 0.00001234
'abc'.center(10,'*')
'abc'.zfill(5) ~ '-5'.zfill(4)
'abc'.ljust(5) ~ '|'
'abc'.rjust(5) ~ '|'
'a\nb\r\nc'.splitlines()
'Hello'.swapcase() ~ 'hello world'.title() ~ 'HELLO'.capitalize() ~ 'ß'.upper()
"they're bill's"|title
"they're bill's".title()
'abc'.find('c') ~ 'abc'.find('z') ~ 'abcabc'.rfind('b')
'abc'.index('z')
'aaa'.count('a') ~ 'aaaa'.count('aa')
'a-b'.partition('-') ~ 'a-b-c'.rpartition('-')
'prefix_x'.removeprefix('prefix_')
'x.txt'.removesuffix('.txt')
'-'.join(['a','b'])
'-'.join([1])
d|attr('a')
[1,[2,[3]]]|pprint
12345678|filesizeformat
1024|filesizeformat(true)
'<b>x</b> &amp; y'|striptags
'a b/c&d'|urlencode
{'a':'b c','d':1}|urlencode
{'class':'x','id':none}|xmlattr
'hello world this is long'|wordwrap(10)
[3,1]|list|sort|first
messages[-1].role
messages|length - 1
(messages|length) > 1
n|abs ~ (-3)|abs
cycler('a','b').next()
lipsum is defined
[1,2]|join
[1,2]|join('a', attribute=0)
['ab','cd']|join('-', attribute=0)
'a'|default
none|default('x')
undefined_thing|d('y')
x ~ 'a'
x == y
x == none
x < 1
'a' < 'b'
'a' < 1
[1,2] < [1,3]
1 in 5
1 in none
x in 'abc'
1 in x
not x
d.items()|list|length
d.values()|sum
'' is defined
1.0|int
'abc' is sequence
5 is sequence
d is iterable
1 is true
true is true
true is number
caller
(1, 'a', none)|tojson
{1:2, none: 3, true: 4, 1.5: 5}|tojson
[1,2,]|length
{'a':1,}|length
(1 if true else 2) + 3
1 if true else 2 if false else 3
not 1 == 2
1 - 1 - 1
2 * 3 % 4
'a' ~ 1 + 2
1 + 2 ~ 'a'
-5 | abs
-n|abs
(-n)|abs
s | length > 5
s|length > 5 and n
n.real
n.bit_length()
f.is_integer()
s.isidentifier()
'%s %s' % ('a',)
'%s' % (1,2)
'%s' % [1,2]
'%c' % 65
'{'.format()
'{{}}'.format()
'{a.b}'.format(a={'b':1})
'{a[b]}'.format(a={'b':1})
'{0[0]}'.format([7])
'{:08.3f}'.format(3.14159)
'{:+d} {:x} {:b} {:#x}'.format(5, 255, 5, 255)
'{:e}'.format(12345.678)
'{:%}'.format(0.25)
'{:g}'.format(0.0001)
'{:*^9}'.format('a')
'{:>{w}}'.format('a', w=5)
'{:10}|'.format(5)
'{:10}|'.format('5')
'{}'.format(1.0)
'{:.2}'.format(3.14159)
'{:n}'.format(5)
'{:c}'.format(65)
'''.strip("\n").split("\n")

SNIPPETS = r'''
{% for m in messages %}{{ loop.index }}{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}
---
{% for m in messages -%}
  {{ m.content }}
{%- endfor %}
---
{% for m in [] %}x{% else %}empty{% endfor %}
---
{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}{{ m.content }}{% endfor %}
---
{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}{{ m.content }}{% endfor %}
---
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ m.content }}{% endfor %}
---
{% for m in messages %}{% continue %}{% else %}ELSE{% endfor %}
---
{% for m in messages %}{{ loop.previtem.content }}|{{ loop.nextitem.content if not loop.last }}|{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.cycle('a','b') }}{{ loop.changed(m.role) }};{% endfor %}
---
{% for t in tree recursive %}{{ t.v }}@{{ loop.depth }}{% if t.c %}({{ loop(t.c) }}){% endif %}{% endfor %}
---
{% macro f(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1) }}{{ f(1,3,c='y') }}{{ f(1,2,3,4,5,z=6) }}
---
{% macro f(a) %}{{ a }}{% endmacro %}{{ f() }}|{{ f(1,2) }}
---
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
---
{% macro w(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call w('b') %}inner {{ x }}{% endcall %}
---
{% macro w() %}{% for i in [1,2] %}{{ caller(i, j=i*2) }}{% endfor %}{% endmacro %}{% call(i, j=0) w() %}[{{ i }},{{ j }}]{% endcall %}
---
{% filter upper %}abc {{ x }}{% endfilter %}
---
{% filter upper|replace('A','z') %}abc{% endfilter %}
---
{% set y %}a{{ x }}b{% endset %}[{{ y }}]
---
{% set y | upper %}a{{ x }}b{% endset %}[{{ y }}]
---
{% set a, b = 1, 2 %}{{ a }}{{ b }}
---
{% set a = 1, 2 %}{{ a }}
---
{% set ns = namespace(a=1, found=false) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.found }}
---
{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
---
{% for i in [1,2] %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}
---
{% for i in [1] %}{{ x }}{% endfor %}{% set x = 5 %}{{ x }}
---
{% if n > 3 %}big{% elif n > 1 %}mid{% else %}small{% endif %}
---
{% if false %}{% set x = 2 %}{% endif %}{{ x }}
---
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}
---
{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x }}
---
{% raw %}{{ x }}{% if %}{% endraw %}
---
  {%- raw -%}  {{ x }}  {%- endraw -%}  y
---
a {# comment #} b
---
a {#- comment -#} b
---
a
  {# comment #}
b
---
  {% if true %}
  x
  {% endif %}
y
---
  {%+ if true %}
  x
  {%+ endif +%}
y
---
{{- x -}}   y  {{+ x }}
---
  {{ x }}
  z
---
{% block foo %}B{{ x }}{% endblock %}|{{ self.foo() }}
---
{% for i in [1,2] %}{% block bar scoped %}{{ i }}{% endblock %}{% endfor %}
---
{% for i in [1,2] %}{% block bar %}{{ i }}{% endblock %}{% endfor %}
---
{% print x, n %}
---
{% generation %}abc{{ x }}{% endgeneration %}
---
A{% generation %}abc{% set q = 1 %}{% endgeneration %}{{ q }}{% for m in messages %}{{ m.role }}:{% generation %}{{ m.content }}日{% endgeneration %}!{% endfor %}
---
{% autoescape false %}{{ '<' }}{% endautoescape %}
---
{% unknown %}
---
{% if x %}
---
{% endif %}
---
{{ x
---
{{ 'abc }}
---
{# abc
---
{% for %}{% endfor %}
---
{{ x|nofilter }}
---
{{ x is notest }}
---
{% if false %}{{ x|nofilter }}{% endif %}ok
---
{% if true %}{{ x|nofilter }}{% endif %}ok
---
{{ x|nofilter if false else 'k' }}
---
{% break %}
---
{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
---
{% include 'x' %}
---
{% if false %}{% include 'x' %}{% endif %}ok
---
{% extends 'x' %}
---
{% import 'x' as y %}
---
{% for loop in [1] %}{% endfor %}
---
{% set loop = 1 %}{{ loop }}
---
{% for i in [1] %}{% set loop = 1 %}{% endfor %}
---
{% set x.y = 1 %}
---
{% set ns = namespace() %}{% set ns._a = 1 %}
---
{% set true = 1 %}
---
{% set 1 = 1 %}
---
{% for a, b in [[1,2],[3,4]] %}{{ a }}{{ b }}{% endfor %}
---
{% autoescape missing %}{{ '<' }}{% endautoescape %}{#
---
{% raw %}
---
x{% raw %}y
---
{{ namespace(missing) }}
---
{{ cycler(1).next(2) }}
---
{% for a, in [[1]] %}{{ a }}{% endfor %}
---
{% for a, b in [[1,2,3]] %}{{ a }}{{ b }}{% endfor %}
---
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
---
{% for k in d %}{{ k }}{% endfor %}
---
{% for c in 'abc' %}{{ c }}{% endfor %}
---
{% for c in none %}{% endfor %}
---
{% for c in undefinedvar %}{% else %}E{% endfor %}
---
{% for (a, (b, c)) in [[1,[2,3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
---
{% macro a() %}{{ x }}{{ y }}{% endmacro %}{% set y = 3 %}{{ a() }}{% set y = 4 %}{{ a() }}
---
{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n }}*{{ fact(n-1) }}{% endif %}{% endmacro %}{{ fact(5) }}
---
{% for i in [1,2,3] %}{% for j in [1,2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
---
{% for i in [1,2,3] %}{% set outer = loop %}{% for j in [1,2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
---
{% set l = messages|map(attribute='role') %}{{ l|list }}{{ l|list }}
---
{{ macro_undefined() }}
---
{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(1) }}
---
{% macro m(caller) %}{{ caller() }}{% endmacro %}{{ m(1) }}
---
{% macro m(caller=none) %}{{ caller }}{% endmacro %}{{ m() }}
---
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
---
{{ '{{' }}{{ '}}' }}{{ '%}' }}
---
{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a':1}}}
---
{%- for m in messages -%}
    {%- if m.role == 'user' %}
        {{- '<|user|>' + m.content }}
    {%- endif %}
{%- endfor -%}
---
line1
{%- if true %}

x
{%- endif %}


---
{% if true -%}
   a
   {%- endif %}
   b
---
{% set ns = namespace(x=0) %}{% for i in range(5) if ns.x < 3 %}{% set ns.x = ns.x + 1 %}{{ i }}{% endfor %}
---
{% set ns = namespace(x=0) %}{{ ns }}{{ ns.y is defined }}{{ ns['x'] }}
---
{{ range(100001) }}
---
{{ range(100000)|length }}
---
{{ dict([['a',1]], b=2) }}{{ dict(d, c=3) }}
---
{{ namespace(_a=1) }}
---
{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}
---
{% set j = joiner('; ') %}{% for i in [1,2,3] %}{{ j() }}{{ i }}{% endfor %}
---
{% for m in messages %}{{ loop }}{% endfor %}
---
{% macro zz(a) %}{% endmacro %}{{ zz }}{{ zz.name }}{{ zz.arguments }}
---
{% for i in [1,2,3] recursive %}{{ i }}{% else %}none{% endfor %}
---
{% set x = x ~ '!' %}{{ x }}
---
{% macro m() %}{% set x = 'in' %}{{ x }}{% endmacro %}{{ m() }}{{ x }}
---
{% macro m() %}{{ loop.index }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}
---
{% for i in [1] %}{% macro m() %}{{ loop.index }}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
---
{% call foo %}{% endcall %}
---
{% for i in [3,1,2]|sort %}{{ i }}{% endfor %}
---
{% for i in 1 %}{% endfor %}
---
{{ messages[0]['role'] }}{{ messages[0].nope }}{{ messages[9] }}{{ messages[0]['nope'] }}
---
{{ messages[0].nope.nope }}
---
{{ (messages|first).role }}{{ messages|last|attr('role') }}
---
{%if true%}a{%endif%}
---
{%-if true-%} a {%-endif-%}
---
{% if true %}a{% else %}b{% endif %} c
{% if true %}a{% endif %}
d
---
{% for i in range(3) %}
{{ i }}
{% endfor %}
---
{% set a %}
 x
{% endset %}
[{{ a }}]
---
{{ x }}
{{ x }}

---
{{ "a
b" }}
---
{{ x if n }}{{ x if not n }}{{ (x if not n) is defined }}
---
{% elif %}
---
{% macro m(a, a) %}{% endmacro %}
---
{{ f(a=1, a=2) }}
---
{{ dict(a=1, *[1]) }}
---
{{ dict(**{'a':1}) }}{{ dict(*[[['z',1]]], **{'a':1}) }}
---
{{ 1 is 2 is 3 }}
---
{{ n is not none and n is not undefined }}
---
{{ 'a' is in ['a'] }}{{ 'a' is not in ['a'] }}
---
{{ x is defined|string }}
---
{{ not x is defined }}
---
{{ [1,2,3] is iterable and 'x' }}
---
{{ messages|map('length')|list }}{{ messages|map('tojson')|join(';') }}
---
{% set t = ('a', 'b') %}{{ t[0] }}{{ t|length }}{{ t }}
---
{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}
---
{% set foo = [] %}{% for i in [1] %}{% set foo = foo + [i] %}{% endfor %}{{ foo }}
---
{{ 007 }}
---
{{ 1__0 }}
---
{{ 1.foo }}
---
{{ 1.0.real }}
---
{{ x. }}
---
{{ x[ }}
---
{{ x[1,2] }}
---
{{ d['a','b'] }}
---
{{ x[1:2,3] }}
---
{{ $ }}
---
{{ a ! b }}
---
{{ ) }}
---
{{ (1] }}
---
{{ }}
---
{% %}
---
{%  if  x  %}a{%  endif  %}
---
{% if x: %}a{% endif %}
---
{{ x,n }}
---
{{ true.foo }}{{ none.foo }}
---
{% set x = {'a':1} %}{{ x.a }}{% set x = x['a'] %}{{ x }}
---
{% do x %}
---
{% trans %}a{% endtrans %}
---
{{ self }}
---
{{ super() }}
---
{% macro m() -%}
  a
{%- endmacro %}
[{{ m() }}]
---
{% for x in messages %}{{ x.role }}{% endfor %}{{ x }}
---
{% set x = 2 %}{% macro m(a=x) %}{{ a }}{% endmacro %}{% set x = 3 %}{{ m() }}
---
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}
---
{{ x|upper|lower|title|length }}
---
{% for m in messages|reverse %}{{ m.content }}{% endfor %}
---
{% for m in messages[::-1] %}{{ loop.index }}{{ m.content }}{% endfor %}
---
{% for m in messages[1:] %}{{ m.content }}{% endfor %}
---
{% set m = messages[-1] %}{{ m.content.split('y')[0] }}
---
{{ messages|selectattr('role', 'in', ['user','x'])|map(attribute='content')|join(',') }}
---
{{ messages|selectattr('nope', 'defined')|list }}{{ messages|selectattr('nope')|list }}
---
{{ messages|groupby('role')|list }}
---
{% for g in messages|groupby('role') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}
---
{{ '<b>'|e ~ '<i>' }}{{ '<b>'|safe + '<i>' }}{{ '<b>'|escape|upper }}{{ ['<b>'|e] }}
'''.strip("\n").split("\n---\n")
