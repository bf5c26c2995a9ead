package codec

import (
	"bytes"
	"container/list"
	"errors"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Types that lose something, and types that look like them and do not.
type (
	sealed      struct{ n int }
	Sealed      struct{ n int }
	wrapped     struct{ time.Time }
	pair[T any] struct {
		time.Time
		Value T
	}
	room struct {
		netip.Addr
		Floor int
	}
	// zoned has methods of its own beside those of the time.
	zoned struct {
		time.Time
		Zone string
	}
	guarded struct {
		sync.Mutex
		N int
	}
	// locked is what a sync.Locker may have beside its lock.
	locked struct {
		sync.Mutex
		n int
	}
	timed struct {
		time.Time
		guarded
	}
	own       struct{ text string }
	inOwn     struct{ own }
	besideOwn struct {
		*own
		N int
	}
)

// account is a lock by its own methods, and has more in it than one.
type account struct {
	mu      sync.RWMutex
	balance int
}

func (a *account) Lock()   { a.mu.Lock() }
func (a *account) Unlock() { a.mu.Unlock() }

func (z zoned) MarshalText() ([]byte, error) {
	return []byte(z.Time.Format(time.RFC3339Nano) + " " + z.Zone), nil
}

func (z *zoned) UnmarshalText(b []byte) (err error) {
	at, zone, _ := strings.Cut(string(b), " ")
	z.Zone = zone
	z.Time, err = time.Parse(time.RFC3339Nano, at)
	return err
}

func (o own) MarshalText() ([]byte, error) { return []byte(o.text), nil }
func (o *own) UnmarshalText(b []byte) error {
	o.text = string(b)
	return nil
}

// Types of which something would be lost without a word are refused: when a function is registered, and when a value of
// one is to be sent that stands in an any. The error names the type, and the field within it.
func TestWhatWouldBeLostIsRefused(t *testing.T) {
	const none = " has no exported fields, so that nothing of it would be sent"
	for want, v := range map[string]any{
		"bytes.Buffer" + none:       bytes.Buffer{},
		"errors.errorString" + none: errors.New("text"),
		"list.List" + none:          list.New(),
		"atomic.Int64" + none:       &atomic.Int64{},
		"sync.Map" + none:           &sync.Map{},
		"codec.sealed" + none:       []sealed{{1}},
		"field A of struct { A codec.sealed; B int }: codec.sealed" + none: struct {
			A sealed
			B int
		}{},
		"field A of struct { A map[string][]*codec.sealed }: codec.sealed" + none: struct {
			A map[string][]*sealed
		}{A: map[string][]*sealed{"a": {{}}}},
		"codec.sealed" + none + " ": map[sealed]int{{1}: 1},
		"codec.pair[int] is sent by methods of the embedded time.Time, which leave field Value out": pair[int]{},
		"codec.room is sent by methods of the embedded netip.Addr, which leave field Floor out":     &room{},
		"codec.besideOwn is sent by methods of the embedded *codec.own, which leave field N out": besideOwn{
			own: &own{}},
		"the embedded codec.Sealed" + none: struct {
			Sealed
			N int
		}{Sealed: Sealed{n: 1}},
		"the embedded bytes.Buffer" + none: struct {
			bytes.Buffer
			N int
		}{},
		"a receiver cannot set the embedded *codec.hiddenBase, which is not exported": struct {
			*hiddenBase
			B int
		}{},
		"codec.locked" + none:  &locked{n: 1},
		"codec.account" + none: &account{balance: 1},
		"codec.timed is sent by methods of the embedded time.Time, which leave field guarded out": &timed{},
		"field b is named by its tag, and not exported, so that it would not be sent": struct {
			A int
			b int `msgpack:"b"`
		}{A: 1, b: 2},
		"field guarded is named by its tag, and not exported, so that it would not be sent": &struct {
			guarded `json:"g"`
			B       int
		}{B: 1},
		"2 fields have the name Name, so that none of them would be sent": struct {
			FieldBase
			FieldOther
		}{},
		"2 fields have the name a, so that none of them would be sent": struct {
			A int `msgpack:"a"`
			B int `msgpack:"a"`
		}{},
	} {
		want = strings.TrimSpace(want)
		typ := reflect.TypeOf(v)
		require.ErrorContains(t, CheckResult(typ), want)
		require.ErrorContains(t, CheckParameter(typ), want)
		_, err := appendArguments(nil, most, []any{[]any{v}})
		require.ErrorContains(t, err, want[strings.LastIndex(want, ": ")+1:], "within an any")
		require.ErrorContains(t, err, "argument 1: element 0: ")
	}
}

// A type that comes in is held to the same: what was sent for it would have no place.
func TestWhatWouldBeLostIsNotReceived(t *testing.T) {
	_, err := received[bytes.Buffer](fromHex(t, "9180"))
	require.ErrorContains(t, err, "bytes.Buffer has no exported fields")
	_, err = DecodeAs[sealed](resultOf(t, func() struct{} { return struct{}{} }))
	require.ErrorContains(t, err, "codec.sealed has no exported fields")
}

// Unexported fields beside exported ones are not sent, and nothing is lost where there is nothing, or it was said so.
func TestWhatIsNotLost(t *testing.T) {
	now := time.Now().UTC().Round(0)
	for _, v := range []any{
		struct{}{}, struct{ _ [4]byte }{}, struct{ mu *sync.Mutex }{}, wrapped{now}, inOwn{own{"a"}}, zoned{now, "z"},
		struct {
			A int `msgpack:"-"`
		}{},
		struct {
			time.Time `json:"at"`
			N         int
		}{now, 1},
		&struct {
			time.Time
			sync.RWMutex
			Mark struct{}
		}{Time: now},
		struct {
			_msgpack struct{} `msgpack:",as_array"`
			_        int      `msgpack:"pad"`
			b        int      `msgpack:",omitempty"`
			A        int
		}{A: 1},
		struct {
			FieldBase
			Name string
		}{FieldBase{ID: 1}, "outer"},
		struct {
			A int
			sealed
		}{A: 1},
	} {
		typ := reflect.TypeOf(v)
		require.NoError(t, CheckResult(typ))
		require.NoError(t, CheckParameter(typ))
		b, err := appendArguments(nil, most, []any{v})
		require.NoError(t, err)
		d, _, err := OpenArguments(b)
		require.NoError(t, err)
		got := reflect.New(typ).Elem()
		require.NoError(t, PlanOf(typ).Decode(d, got))
		require.Equal(t, v, got.Interface())
		d.Close()
	}
	g := &guarded{N: 7}
	g.Lock()
	got := carried[*guarded](t, g)
	require.Equal(t, 7, got.N)
	require.True(t, got.TryLock(), "a lock is not sent")
}

// A big.Float comes back with its precision, which its text would leave out.
func TestBigFloatsKeepTheirPrecision(t *testing.T) {
	third := new(big.Float).SetPrec(200).SetMode(big.ToZero).Quo(big.NewFloat(1), big.NewFloat(3))
	got := carried[*big.Float](t, third)
	require.Equal(t, third, got)
	require.Equal(t, uint(200), got.Prec())
	_, err := received[*big.Float](fromHex(t, "91c40101"))
	require.Error(t, err)
}

// How a type is described is how it is sent, by whichever methods.
func TestKindsOfTypesWithMethods(t *testing.T) {
	for want, v := range map[string][]any{
		"bytes": {big.Float{}, netip.Addr{}, wrapped{}}, "string": {zoned{}, big.Int{}}, "any": {tick{}},
		"struct": {named{}, order{}},
	} {
		for _, v := range v {
			require.Equal(t, want, KindOf(reflect.TypeOf(v)), "%T", v)
		}
	}
}
