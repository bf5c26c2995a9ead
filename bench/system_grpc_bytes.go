package main

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcBytes is gRPC at its best with bytes: nothing is encoded or decoded, they are copied once at each end.
var grpcBytes = system{
	name: "grpc-bytes", title: "gRPC, bytes copied", streams: true,
	serve: func() (server, error) { return serveGRPC(grpc.ForceServerCodec(bytesCodec{})) },
	dial: func(addr string) (client, error) {
		return dialGRPC(addr, insecure.NewCredentials(), grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
	},
}

// bytesCodec has bytes as they are, and all else as protobuf has it.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "bytes" }

func (bytesCodec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case *wrapperspb.BytesValue:
		return bytes.Clone(v.Value), nil
	case proto.Message:
		return proto.Marshal(v)
	}
	return nil, fmt.Errorf("%T is no message", v)
}

func (bytesCodec) Unmarshal(b []byte, v any) error {
	switch v := v.(type) {
	case *wrapperspb.BytesValue:
		v.Value = bytes.Clone(b)
		return nil
	case proto.Message:
		return proto.Unmarshal(b, v)
	}
	return fmt.Errorf("%T is no message", v)
}
