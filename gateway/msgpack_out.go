package gateway

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
)

// appendMsgpack writes a result as it came: times as timestamps, durations as nanoseconds, bytes as bytes.
func appendMsgpack(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, 0xc0), nil
	case bool:
		if v {
			return append(b, 0xc3), nil
		}
		return append(b, 0xc2), nil
	case string:
		return append(appendHead(b, 0xa0, 31, 0xd9, len(v)), v...), nil
	case float32:
		return binary.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v)), nil
	case []byte:
		return append(appendHead(b, 0, -1, 0xc4, len(v)), v...), nil
	case time.Time:
		return appendTimestamp(b, v), nil
	case map[string]any:
		return appendPackedMap(b, v)
	}
	return appendPackedOther(b, reflect.ValueOf(v))
}

// appendHead writes a length: in one byte with base, if it is at most inOne, or after one from first on, by its size.
func appendHead(b []byte, base byte, inOne int, first byte, n int) []byte {
	switch {
	case n <= inOne:
		return append(b, base|byte(n))
	case n <= math.MaxUint8 && first != 0xdc && first != 0xde: // lists and maps have none of one byte
		return append(b, first, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, first+second(first)), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, first+second(first)+1), uint32(n))
}

// second is how far the head with two bytes of length is from the first.
func second(first byte) byte {
	if first == 0xdc || first == 0xde {
		return 0
	}
	return 1
}

func appendTimestamp(b []byte, v time.Time) []byte {
	b = append(b, 0xc7, 12, 0xff)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Nanosecond()))
	return binary.BigEndian.AppendUint64(b, uint64(v.Unix()))
}

func appendPackedMap(b []byte, m map[string]any) (_ []byte, err error) {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	b = appendHead(b, 0x80, 15, 0xde, len(m))
	for _, key := range keys {
		if b, err = appendMsgpack(append(appendHead(b, 0xa0, 31, 0xd9, len(key)), key...), m[key]); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendPackedOther(b []byte, v reflect.Value) (_ []byte, err error) {
	switch k := v.Kind(); {
	case v.CanInt():
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v.Int())), nil
	case v.CanUint():
		return binary.BigEndian.AppendUint64(append(b, 0xcf), v.Uint()), nil
	case k == reflect.Bool:
		return appendMsgpack(b, v.Bool())
	case k == reflect.String:
		return appendMsgpack(b, v.String())
	case k == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return appendMsgpack(b, v.Bytes())
	case (k == reflect.Slice || k == reflect.Map) && v.IsNil():
		return append(b, 0xc0), nil
	case k == reflect.Slice || k == reflect.Array:
		b = appendHead(b, 0x90, 15, 0xdc, v.Len())
		for i := range v.Len() {
			if b, err = appendMsgpack(b, v.Index(i).Interface()); err != nil {
				return b, err
			}
		}
		return b, nil
	case k == reflect.Map:
		b = appendHead(b, 0x80, 15, 0xde, v.Len())
		for it := v.MapRange(); it.Next(); {
			if b, err = appendMsgpack(b, it.Key().Interface()); err != nil {
				return b, err
			}
			if b, err = appendMsgpack(b, it.Value().Interface()); err != nil {
				return b, err
			}
		}
		return b, nil
	}
	return b, fmt.Errorf("a %s in the result cannot be said in msgpack", v.Type())
}
