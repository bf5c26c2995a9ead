package function

import (
	"errors"
	"fmt"
	"reflect"

	"broach/internal/codec"
)

// A Sequence is a function type that yields items with errors: iter.Seq2[T, error], and any other
// func(yield func(T, error) bool). As a result, or as the last parameter, it streams.
type Sequence struct {
	Type reflect.Type
	Item reflect.Type // what it yields

	plan  *codec.Plan
	typed typedSequence // nil: it is called by reflection
}

// A Take gets the decoder of one item, which it reads. It reports whether it wants another.
type Take func(d *codec.Decoder) (goOn bool, _ error)

// An Each hands the items of a stream to take until there are no more, or take wants no other. Its error is the end of
// a sequence that is made of it; nil: that just ends.
type Each func(take Take) error

// SequenceIn is the sequence that the last of some arguments is; nil: it is none. The error is that of one that streams
// and cannot be sent.
func SequenceIn(args []any) (*Sequence, error) {
	n := len(args)
	if n == 0 {
		return nil, nil
	}
	t := reflect.TypeOf(args[n-1])
	s := SequenceOf(t)
	switch {
	case s == nil && yields(t):
		return nil, checkPlain(t, codec.CheckResult, "")
	case s == nil:
		return nil, nil
	case reflect.ValueOf(args[n-1]).IsNil():
		return nil, errors.New("the sequence is nil")
	}
	return s, s.checkItem(codec.CheckResult)
}

// SequenceOf is the sequence that a type is; nil: it is none.
func SequenceOf(t reflect.Type) *Sequence {
	if !isSequence(t) {
		return nil
	}
	item := t.In(0).In(0)
	s := &Sequence{Type: t, Item: item, plan: codec.PlanOf(item)}
	if typed := typedSequences[item]; typed != nil && t.ConvertibleTo(typed.plainType()) {
		s.typed = typed
	}
	return s
}

func isSequence(t reflect.Type) bool {
	return yields(t) && t.In(0).NumIn() == 2 && t.In(0).In(1) == errorType
}

// yields reports whether values of a type can be ranged over, whatever they yield.
func yields(t reflect.Type) bool {
	if t == nil || t.Kind() != reflect.Func || t.IsVariadic() || t.NumIn() != 1 || t.NumOut() != 0 {
		return false
	}
	yield := t.In(0)
	return yield.Kind() == reflect.Func && !yield.IsVariadic() && yield.NumOut() == 1 &&
		yield.Out(0) == reflect.TypeFor[bool]()
}

// errNoErrors is the remedy for a sequence that cannot say how it failed.
var errNoErrors = errors.New("it yields no errors; a stream is an iter.Seq2 whose second type is error")

// checkPlain is check for a parameter or result that does not stream.
func checkPlain(t reflect.Type, check func(reflect.Type) error, where string) error {
	switch {
	case isSequence(t):
		return fmt.Errorf("%s streams; only %s", codec.TypeName(t), where)
	case yields(t):
		return fmt.Errorf("%s cannot be sent: %w", codec.TypeName(t), errNoErrors)
	}
	return check(t)
}

// CheckWanted is codec.CheckWanted for a result of a call, with the remedy for one that streams.
func CheckWanted(t reflect.Type) error {
	err := codec.CheckWanted(t)
	if err != nil && isSequence(t) {
		return fmt.Errorf("%s is a stream: use Stream or Bind", codec.TypeName(t))
	}
	return err
}

// checkAt is check for the items of a sequence, which is the i-th of something.
func (s *Sequence) checkAt(what string, i int, check func(reflect.Type) error) error {
	if err := s.checkItem(check); err != nil {
		return fmt.Errorf("%s %d: %w", what, i+1, err)
	}
	return nil
}

func (s *Sequence) checkItem(check func(reflect.Type) error) error {
	if err := check(s.Item); err != nil {
		return fmt.Errorf("items of a stream: %w", err)
	}
	return nil
}

// Make makes a sequence of the items that each hands on.
func (s *Sequence) Make(each Each) reflect.Value {
	if s.typed != nil {
		return reflect.ValueOf(s.typed.make(each)).Convert(s.Type)
	}
	return reflect.MakeFunc(s.Type, func(args []reflect.Value) []reflect.Value {
		yield, v := args[0], reflect.New(s.Item).Elem()
		err := each(func(d *codec.Decoder) (bool, error) {
			v.SetZero()
			if err := s.plan.Decode(d, v); err != nil {
				return false, err
			}
			return s.yield(yield, v, nil), nil
		})
		if err != nil {
			s.yield(yield, reflect.Zero(s.Item), err)
		}
		return nil
	})
}

// yield calls the yield of a loop.
func (s *Sequence) yield(yield, v reflect.Value, err error) (goOn bool) {
	return yield.Call([]reflect.Value{v, reflect.ValueOf(&err).Elem()})[0].Bool()
}

// Write ranges over a sequence and writes what it yields.
func (s *Sequence) Write(seq reflect.Value, o *Output) {
	if s.typed != nil {
		s.typed.write(seq.Convert(s.typed.plainType()).Interface(), o)
		return
	}
	yield := reflect.MakeFunc(s.Type.In(0), func(args []reflect.Value) []reflect.Value {
		err, _ := args[1].Interface().(error)
		goOn := o.begin(err) && o.finish(s.plan.Encode(o.e, args[0]))
		return []reflect.Value{reflect.ValueOf(goOn)}
	})
	seq.Call([]reflect.Value{yield})
}

// A typedSequence calls and makes the sequences of one type of items without reflection.
type typedSequence interface {
	plainType() reflect.Type // func(yield func(T, error) bool)
	write(seq any, o *Output)
	make(each Each) any
}

// Items of the plainest types need no reflection: to call a yield by it costs more than all else that is done for an
// item. Another type is another line.
var typedSequences = map[reflect.Type]typedSequence{
	reflect.TypeFor[int]():    &typedItems[int]{codec.ReadInt, codec.WriteInt},
	reflect.TypeFor[string](): &typedItems[string]{codec.ReadString, codec.WriteString},
	reflect.TypeFor[[]byte](): &typedItems[[]byte]{codec.ReadBytes, codec.WriteBytes},
}

// typedItems is a typedSequence.
type typedItems[T any] struct {
	readItem  func(*codec.Decoder) (T, error)
	writeItem func(*codec.Encoder, T) error
}

func (s *typedItems[T]) plainType() reflect.Type { return reflect.TypeFor[func(func(T, error) bool)]() }

func (s *typedItems[T]) write(seq any, o *Output) {
	seq.(func(func(T, error) bool))(func(v T, err error) bool {
		return o.begin(err) && o.finish(s.writeItem(o.e, v))
	})
}

func (s *typedItems[T]) make(each Each) any { return MakeTyped(each, s.readItem) }

// MakeTyped is Make for a type that is known.
func MakeTyped[T any](each Each, read func(*codec.Decoder) (T, error)) func(yield func(T, error) bool) {
	return func(yield func(T, error) bool) {
		err := each(func(d *codec.Decoder) (bool, error) {
			v, err := read(d)
			if err != nil {
				return false, err
			}
			return yield(v, nil), nil
		})
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

// streamed is how a signature names what streams.
func (s *Sequence) streamed() string { return "stream " + codec.TypeName(s.Item) }
