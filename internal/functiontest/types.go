package functiontest

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// The types that the cases pass around.

type celsius float32

type weekday uint8

type title string

type address struct {
	Street string `json:"street"`
	City   string `msgpack:"town" json:"city"`
}

type audit struct {
	By   string
	When time.Time `json:",omitempty"`
}

type person struct {
	Name     string `json:"name"`
	Age      int8   `json:"age,omitempty"`
	Home     *address
	Tags     map[string][]int16 `json:"tags,omitempty"`
	Password string             `json:"-"`
	Hidden   string             `msgpack:"-" json:"shown"`
	secret   string
	audit
}

type listNode struct {
	Value int
	Next  *listNode
}

type tree struct {
	Name     string
	Children []tree
	ByName   map[string]*tree
}

// point has the msgpack methods, its decoder on the pointer.
type point struct{ x, y int }

func (p point) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeMulti(p.text()) }
func (p *point) DecodeMsgpack(d *msgpack.Decoder) error {
	s, err := d.DecodeString()
	if err != nil {
		return err
	}
	return p.parse(s)
}

func (p point) text() string { return strconv.Itoa(p.x) + ":" + strconv.Itoa(p.y) }
func (p *point) parse(s string) error {
	x, y, ok := strings.Cut(s, ":")
	if !ok {
		return errors.New("not a point")
	}
	p.x, _ = strconv.Atoi(x)
	p.y, _ = strconv.Atoi(y)
	return nil
}

// packed has MarshalMsgpack on the pointer, which a plain value does not have.
type packed struct{ n int }

func (p *packed) MarshalMsgpack() ([]byte, error) { return msgpack.Marshal(p.n) }
func (p *packed) UnmarshalMsgpack(b []byte) error { return msgpack.Unmarshal(b, &p.n) }

// level is a number that travels as a word.
type level int

func (l level) MarshalText() ([]byte, error) { return []byte(strings.Repeat("!", max(int(l), 0))), nil }
func (l *level) UnmarshalText(b []byte) error {
	*l = level(len(b))
	return nil
}

// label has one half of a pair only, so it travels as the string it is.
type label string

func (l label) MarshalText() ([]byte, error) { return []byte("label " + string(l)), nil }

// panicky and panickyReader have methods that panic, at the sender and at the receiver.
type panicky struct{}

func (panicky) MarshalMsgpack() ([]byte, error) { panic("boom") }

type panickyReader struct{}

func (*panickyReader) UnmarshalMsgpack([]byte) error { panic("boom") }

// garbler writes two values where one belongs.
type garbler struct{}

func (garbler) MarshalMsgpack() ([]byte, error) { return []byte{1, 2}, nil }

// half reads less than its value.
type half struct{ First int }

func (h *half) DecodeMsgpack(d *msgpack.Decoder) error {
	if _, err := d.DecodeArrayLen(); err != nil {
		return err
	}
	n, err := d.DecodeInt()
	h.First = n
	return err
}
