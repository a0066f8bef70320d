//! The members of merchants, reported by booking.

use kit::ApiError;
use proto::points::v1::merchants_server::Merchants as Rpc;
use proto::points::v1::{
    JoinRequest, JoinResponse, LeaveRequest, LeaveResponse, Membership, MerchantRole as Role,
};
use tonic::{Request, Response, Status};

use super::{Server, id};
use crate::app;
use crate::domain::{MemberId, MerchantId, MerchantRole};
use crate::error::Error;

pub(super) const JOIN: &str = "/points.v1.Merchants/Join";
pub(super) const LEAVE: &str = "/points.v1.Merchants/Leave";

#[tonic::async_trait]
impl Rpc for Server {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let joined = membership(request.into_inner().membership).map_err(ApiError::from)?;
        self.0.join(joined).await.map_err(ApiError::from)?;
        Ok(Response::new(JoinResponse {}))
    }

    async fn leave(
        &self,
        request: Request<LeaveRequest>,
    ) -> Result<Response<LeaveResponse>, Status> {
        let left = membership(request.into_inner().membership).map_err(ApiError::from)?;
        self.0.leave(left).await.map_err(ApiError::from)?;
        Ok(Response::new(LeaveResponse {}))
    }
}

fn membership(message: Option<Membership>) -> Result<app::Membership, Error> {
    let message = message.unwrap_or_default();
    let role = match message.role() {
        Role::Owner => MerchantRole::Owner,
        Role::Staff => MerchantRole::Staff,
        Role::Unspecified => return Err(Error::InvalidId("role")),
    };
    Ok(app::Membership {
        event: id("event_id", &message.event_id)?,
        merchant: MerchantId(id("merchant_id", &message.merchant_id)?),
        member: MemberId(id("member_id", &message.member_id)?),
        role,
    })
}
