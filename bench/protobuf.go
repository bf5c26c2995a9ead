package main

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The messages of gRPC and drpc are generated protobuf messages, as their users have them, and not a codec of our own.
// They are those that come with the protobuf module, so that this program needs no protoc: for the two integers of add
// a Duration, whose two fields are an int64 and an int32, and for the rest the wrapper types.
type pbServer struct{}

func pbPair(x, y int) *durationpb.Duration {
	return &durationpb.Duration{Seconds: int64(x), Nanos: int32(y)}
}

func (pbServer) Add(_ context.Context, in *durationpb.Duration) (*wrapperspb.Int64Value, error) {
	return wrapperspb.Int64(in.GetSeconds() + int64(in.GetNanos())), nil
}

func (pbServer) Echo(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	return wrapperspb.Bytes(in.GetValue()), nil
}

func (pbServer) Put(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.UInt32Value, error) {
	return wrapperspb.UInt32(checksum(in.GetValue())), nil
}

// The names of the methods on the wire, in the form of generated code.
const (
	pbAdd  = "/bench.Bench/Add"
	pbEcho = "/bench.Bench/Echo"
	pbPut  = "/bench.Bench/Put"
)

// pbClient calls the methods; invoke and end are the system's.
type pbClient struct {
	invoke func(method string, in, out any) error
	end    func() error
}

func (c pbClient) add(x, y int) (int, error) {
	out := new(wrapperspb.Int64Value)
	err := c.invoke(pbAdd, pbPair(x, y), out)
	return int(out.GetValue()), err
}

func (c pbClient) echo(p []byte) ([]byte, error) {
	out := new(wrapperspb.BytesValue)
	err := c.invoke(pbEcho, wrapperspb.Bytes(p), out)
	return out.GetValue(), err
}

func (c pbClient) put(p []byte) (uint32, error) {
	out := new(wrapperspb.UInt32Value)
	err := c.invoke(pbPut, wrapperspb.Bytes(p), out)
	return out.GetValue(), err
}

func (c pbClient) close() { c.end() }
