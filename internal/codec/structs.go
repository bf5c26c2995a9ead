package codec

import "reflect"

// A structure is the fields of a struct type, as they are sent.
type structure struct {
	fields  []field
	byName  map[string]int
	canOmit bool // the number of fields sent depends on the value
}

func (m planner) structure(t reflect.Type) (encodeFunc, decodeFunc) {
	if err := loss(t); err != nil {
		return refuseBecause(err)
	}
	fields, _ := fieldsOf(t)
	s := &structure{fields: fields, byName: map[string]int{}}
	for i := range s.fields {
		f := &s.fields[i]
		f.plan = m.of(f.typ)
		s.byName[f.name] = i
		s.canOmit = s.canOmit || f.omitEmpty || len(f.index) > 1
	}
	return s.encode, s.decode
}

func (s *structure) encode(e *Encoder, v reflect.Value) error {
	n := s.count(v)
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if err := e.m.EncodeMapLen(n); err != nil {
		return err
	}
	for i := range s.fields {
		if err := s.fields[i].encode(e, v); err != nil {
			return within(err, "field %s", s.fields[i].name)
		}
	}
	return nil
}

func (s *structure) count(v reflect.Value) int {
	if !s.canOmit {
		return len(s.fields)
	}
	n := 0
	for i := range s.fields {
		if _, ok := s.fields[i].in(v); ok {
			n++
		}
	}
	return n
}

func (f *field) encode(e *Encoder, v reflect.Value) error {
	x, ok := f.in(v)
	if !ok {
		return nil
	}
	if err := e.m.EncodeString(f.name); err != nil {
		return err
	}
	return f.plan.Encode(e, x)
}

// in returns the field of v, if it is to be sent: it may be empty, or lie in an embedded pointer that is nil.
func (f *field) in(v reflect.Value) (reflect.Value, bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, !f.omitEmpty || !isEmpty(v)
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

func (s *structure) decode(d *Decoder, v reflect.Value) error {
	n, err := d.mapLen(v.Type())
	if err != nil {
		return err
	}
	for range n {
		if err := s.decodeField(d, v); err != nil {
			return err
		}
	}
	return nil
}

// decodeField reads a name and its value; a name that is unknown is passed over with its value.
func (s *structure) decodeField(d *Decoder, v reflect.Value) error {
	if d.form() != formString {
		return d.mismatch(stringType)
	}
	name, err := d.span()
	if err != nil {
		return err
	}
	i, ok := s.byName[string(name)]
	if !ok {
		_, err := d.next()
		return err
	}
	f := &s.fields[i]
	x, err := f.make(d, v)
	if err == nil {
		err = f.plan.Decode(d, x)
	}
	if err != nil {
		return within(err, "field %s", f.name)
	}
	return nil
}

// make returns the field of v, and makes the embedded structs that it lies in.
func (f *field) make(d *Decoder, v reflect.Value) (reflect.Value, error) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if err := d.Charge(1, v.Type().Elem()); err != nil {
					return v, err
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, nil
}
