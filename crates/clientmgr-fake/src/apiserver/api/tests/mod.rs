//! The API's behaviour, request by request.
